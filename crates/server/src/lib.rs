//! The `lavandin` program: command line, configuration, the HTTP API, keys, logs, metrics, start and stop.
//!
//! A request's way: `accept` takes connections (and hands those of other nodes to `node`), `http::serve` (the only middleware) names the request, checks the
//! key and the limits, runs the route's handler under a deadline, counts and logs; a handler in `routes` reads the
//! body with `wire`, calls `node` and writes the reply with `wire`.
//!
//! Invariants:
//! - every route is an entry of `routes::all`, from which both the router and `/openapi.json` are made;
//! - every reply that is not a success is a JSON object with `error` (`detail` in the dataset wing), `code` and
//!   `request_id`;
//! - every reply carries `x-request-id`; nothing but `/`, `/version`, `/healthz` and `/readyz` answers without the
//!   key once there is one;
//! - a body is never read past its limit, and what bodies take together is bounded.
//!
//! Deliberately absent: decisions about data (`node` and below) and byte layouts (`wire`).

mod accept;
mod app;
mod auth;
mod cli;
mod client;
mod cluster;
mod cluster_verify;
mod config;
mod http;
mod keys;
mod logging;
mod metrics;
mod openapi;
mod quickstart;
mod routes;
mod run;
mod state_cache;

pub use app::App;
pub use cli::main;
pub use config::ServerConfig;
