//! Limits from a file that is edited while they are in use.

// each proves: input

#[path = "../../examples/limits_from_toml/limits.rs"]
mod limits;

use std::fs;

use limits::Limits;

/// No test takes as long as this.
const LIMITER: &str = "limiter = { window = \"1day\", bucket = \"1min\" }\n";

#[test]
fn an_edit_applies_to_what_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("limits.toml");
    let write =
        |login: &str| fs::write(&path, format!("{LIMITER}[limits]\nlogin = {login}")).unwrap();
    write("\"3/day\"");
    let limits = Limits::open(&path).unwrap();
    let login = || limits.inc("login", "alice").unwrap();
    assert_eq!(login().remaining(), 2);
    assert!(!limits.reload().unwrap(), "nothing has changed");

    write("\"10/day\"");
    assert!(limits.reload().unwrap());
    assert_eq!(login().remaining(), 8);
    write("\"2/day\"");
    assert!(limits.reload().unwrap());
    assert!(!login().is_allowed());
    write("\"zero\"");
    assert!(limits.reload().unwrap());
    assert!(login().is_never());
    // Gone from the file, it is no limit any more, and not one without bounds.
    fs::write(&path, format!("{LIMITER}[limits]\n")).unwrap();
    assert!(limits.reload().unwrap());
    assert!(limits.inc("login", "alice").unwrap_err().to_string().contains("\"login\""));
}

#[test]
fn a_mistake_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("limits.toml");
    let write = |text: &str| fs::write(&path, format!("{LIMITER}{text}")).unwrap();
    write("[limits]\nlogin = \"2/day\"");
    let limits = Limits::open(&path).unwrap();
    assert!(limits.inc("login", "alice").unwrap().is_allowed());
    for (text, reason) in [
        ("[limits]\nlogin = \"2/fortnight\"", "2/fortnight"),
        ("[limits]\nlogin = 2", "line 3"),
        ("[limit]\nlogin = \"2/day\"", "unknown field `limit`"),
        ("[limits]\n[limiter]\n", "duplicate key"),
        ("[limits", "line 2"),
        ("", "limits"),
    ] {
        write(text);
        let error = limits.reload().unwrap_err().to_string();
        assert!(error.contains(reason), "{text}: {error}");
    }
    for (limiter, reason) in [("{ max_key = 3 }", "unknown field `max_key`"), ("{}", "restart")] {
        fs::write(&path, format!("limiter = {limiter}\n[limits]")).unwrap();
        let error = limits.reload().unwrap_err().to_string();
        assert!(error.contains(reason), "{limiter}: {error}");
    }
    fs::remove_file(&path).unwrap();
    assert!(limits.reload().is_err());
    // Still two, of which one is left.
    assert!(limits.inc("login", "alice").unwrap().is_allowed());
    assert!(!limits.inc("login", "alice").unwrap().is_allowed());

    fs::write(&path, "limiter = { window = \"0s\" }\n[limits]").unwrap();
    assert!(Limits::open(&path).is_err());
}
