//! Whether the copies of shard groups hold the same records.

use crate::http::{ApiError, Call, reply};
use crate::routes::{Form, Input, Output, required, routes};
use axum::body::Body;
use axum::http::Response;
use lavandin_node::GroupVerdict;
use lavandin_wire::ReplyWriter;

routes! { "cluster":
    Get "/cluster_verify" Read verify, "Compares the copies of every shard group, record by record",
        Input::Nothing => Output::Params(&[
        required("wrong", Form::Boolean, "Whether a copy differs from its primary or is damaged"),
        required("shard_groups", Form::ListOf("GroupVerdict"), "What was found of each shard group"),
    ]);
}

async fn verify(call: Call) -> Result<Response<Body>, ApiError> {
    let verdicts = call.app.node.verify(&call.context()?).await?;
    let wrong = verdicts.iter().any(GroupVerdict::is_wrong);
    Ok(reply(ReplyWriter::new().with("wrong", &wrong).with("shard_groups", &verdicts)))
}
