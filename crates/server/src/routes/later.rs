//! Endpoints of features that this version does not have: each says so and names the feature.
//!
//! They are in the table, so that a client learns "not yet" rather than "unknown", and so that the description is
//! honest about them.

use crate::http::{ApiError, Call};
use crate::routes::{Input, Output, routes};
use axum::body::Body;
use axum::http::Response;

const NOTHING: Input = Input::Nothing;
const NO_PARAMS: Output = Output::Params(&[]);

routes! { "later":
    Post "/create_vector_field" Later named_vectors, "Named vector fields", NOTHING => NO_PARAMS;
    Post "/add_named_vectors" Later named_vectors, "Named vector fields", NOTHING => NO_PARAMS;
    Post "/build_vector_field_index" Later named_vectors, "Named vector fields", NOTHING => NO_PARAMS;
    Post "/remove_vector_field_index" Later named_vectors, "Named vector fields", NOTHING => NO_PARAMS;
    Post "/add_sparse_vectors" Later sparse, "Sparse vectors", NOTHING => NO_PARAMS;
    Post "/sparse_search" Later sparse, "Sparse vectors", NOTHING => NO_PARAMS;
    Post "/bm25_search" Later text, "Text search (BM25)", NOTHING => NO_PARAMS;
    Post "/text_search" Later text, "Text search (BM25)", NOTHING => NO_PARAMS;
    Post "/hybrid_search" Later hybrid, "Hybrid search", NOTHING => NO_PARAMS;
    Post "/write_blob" Later blobs, "Blobs", NOTHING => NO_PARAMS;
    Get "/read_blob" Later blobs, "Blobs", NOTHING => NO_PARAMS;
    Post "/delete_blob" Later blobs, "Blobs", NOTHING => NO_PARAMS;
    Post "/snapshot_collection" Later snapshots, "Snapshots", NOTHING => NO_PARAMS;
    Post "/restore_collection" Later snapshots, "Snapshots", NOTHING => NO_PARAMS;
    Post "/snapshot_database" Later snapshots, "Snapshots", NOTHING => NO_PARAMS;
    Post "/restore_database" Later snapshots, "Snapshots", NOTHING => NO_PARAMS;
    Post "/export_collection" Later exports, "Export and import", NOTHING => NO_PARAMS;
    Post "/import_collection" Later exports, "Export and import", NOTHING => NO_PARAMS;
    Post "/set_environment" Later environment, "Settings at run time", NOTHING => NO_PARAMS;
    Post "/get_environment" Later environment, "Settings at run time", NOTHING => NO_PARAMS;
}

macro_rules! later {
    ($($handler:ident: $feature:literal,)*) => {$(
        async fn $handler(call: Call) -> Result<Response<Body>, ApiError> {
            later(call, $feature).await
        }
    )*};
}

later! {
    named_vectors: "named vector fields",
    sparse: "sparse vectors",
    text: "text search (BM25)",
    hybrid: "hybrid search",
    blobs: "blobs",
    snapshots: "snapshots",
    exports: "export and import",
    environment: "settings at run time (set them by flag, variable or file)",
}

async fn later(call: Call, feature: &str) -> Result<Response<Body>, ApiError> {
    let path = call.route.path;
    Err(ApiError::not_implemented(&format!("{path}: {feature}")))
}
