//! Background tasks, registries of user code and files of previews.

use super::{Done, json, not_found, null};
use crate::http::{Call, with_type};
use crate::routes::{Form, Input, Output, required, routes};
use lavandin_node::FunctionKind;
use lavandin_wire::lavender as wire;

const FUNCTION: &[crate::routes::Value] = &[
    required("registry", Form::Text, "The kind"),
    required("name", Form::Text, "The name"),
    required("args", Form::ListOf("Fields"), "Name and type of each parameter"),
    required("md5", Form::Text, "Of the source"),
];
const TASK: &[crate::routes::Value] = &[
    required("task_id", Form::Text, "The name"),
    required("status", Form::Text, "The step"),
    required("current", Form::Integer, "Done"),
    required("total", Form::Integer, "To do"),
];

routes! { "tasks":
    Get "/background-tasks/" Read list, "Tasks that run, and those that failed", Input::Nothing => Output::List(TASK);
    Post "/background-tasks/{task_id}/abort" Change abort, "Stop a task", Input::Nothing => Output::Null;
    Get "/registries/filters" Read filters, "Filters", Input::Nothing => Output::List(FUNCTION);
    Get "/registries/categorizers" Read categorizers, "Categorizers", Input::Nothing => Output::List(FUNCTION);
    Get "/registries/collaters" Read collaters, "Collaters", Input::Nothing => Output::List(FUNCTION);
    Get "/registries/preprocessors" Read preprocessors, "Preprocessors", Input::Nothing => Output::List(FUNCTION);
    Get "/files/{name}" Read file, "A file of a preview", Input::Nothing => Output::Octets("The file");
}

async fn list(call: Call) -> Done {
    let tasks = call.app.node.tasks().await.into_iter().map(|(task_id, status)| wire::TaskItem {
        task_id,
        status: status.status,
        current: status.current,
        total: status.total,
    });
    json(serde_json::to_vec(&tasks.collect::<Vec<_>>()).unwrap_or_default())
}

async fn abort(call: Call) -> Done {
    match call.app.node.abort_task(&call.part(2)?).await? {
        true => null(),
        false => Err(not_found("Task not found")),
    }
}

async fn filters(call: Call) -> Done {
    functions(call, FunctionKind::Filter).await
}

async fn categorizers(call: Call) -> Done {
    functions(call, FunctionKind::Categorizer).await
}

async fn collaters(call: Call) -> Done {
    functions(call, FunctionKind::Collater).await
}

async fn preprocessors(call: Call) -> Done {
    functions(call, FunctionKind::Preprocessor).await
}

async fn functions(call: Call, kind: FunctionKind) -> Done {
    let specs = call.app.node.functions(&call.context()?, kind).await?;
    let specs = specs.into_iter().map(|spec| wire::FuncSpec {
        registry: spec.registry,
        name: spec.name,
        args: spec.args,
        md5: spec.md5,
    });
    json(serde_json::to_vec(&specs.collect::<Vec<_>>()).unwrap_or_default())
}

async fn file(call: Call) -> Done {
    let (bytes, content_type) =
        call.app.node.preview_file(&call.part(2)?).ok_or_else(|| not_found("Not Found"))?;
    Ok(with_type(bytes, content_type))
}
