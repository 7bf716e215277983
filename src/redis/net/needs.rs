//! Whether a server has all that the scripts need. A server that speaks the protocol of Redis may still run
//! scripts without the `struct` library, or without a clock; calls would then fail one by one with whatever
//! the script stumbles over, or count in the year 1970 for ever.

use std::sync::OnceLock;

use ::redis::{Value, cmd};

use crate::redis::net::failure::Kind;

const NEEDS: &str = include_str!("../../../lua/needs.lua");
/// Our own code, for a server that lacks something. It does not pass by itself, so it is no outage.
const UNFIT: &str = "UNFIT";

/// The text of the script, without comments.
pub(crate) fn text() -> &'static str {
    static TEXT: OnceLock<String> = OnceLock::new();
    TEXT.get_or_init(|| {
        let lines = NEEDS.lines().map(str::trim_start);
        let code = lines.filter(|line| !line.is_empty() && !line.starts_with("--"));
        code.flat_map(|line| [line, "\n"]).collect()
    })
}

/// Asks, with the login: no round trip of its own.
pub(crate) fn write(out: &mut Vec<u8>) {
    cmd("EVAL").arg(text()).arg(0).write_packed_command(out);
}

/// What is missing, if anything. Other failures, as of a user who may not ask this, say nothing: the call
/// itself will tell.
pub(crate) fn judge(reply: &Value) -> Result<(), Kind> {
    let cause = match reply {
        Value::BulkString(missing) if !missing.is_empty() => {
            let missing = String::from_utf8_lossy(missing);
            let parts = missing.split(',').map(named).collect::<Vec<_>>().join("; ");
            format!("it cannot run our scripts: {parts}")
        }
        Value::ServerError(error) => {
            let detail = error.details().unwrap_or_default();
            if !detail.to_lowercase().contains("unknown command") {
                return Ok(());
            }
            // What follows repeats the script.
            let detail = detail.split(", with args").next().unwrap_or_default();
            format!("it cannot run our scripts: {} {detail}", error.code())
        }
        _ => return Ok(()),
    };
    Err(Kind::Server { code: UNFIT.into(), cause })
}

fn named(missing: &str) -> String {
    match missing {
        "struct" => "they need the library `struct`".into(),
        "TIME" => "`TIME` gives no time inside of a script".into(),
        "effects" => {
            "they may not write once they have asked for the time (lua-replicate-commands is off)"
                .into()
        }
        other => other.chars().take(64).collect(),
    }
}
