//! What `ringfence demo` prints, word for word, as whoever has just cloned the repository sees it.

use std::process::Command;

#[test]
fn the_demo_tells_its_story_and_succeeds() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let output = Command::new(env!("CARGO_BIN_EXE_ringfence"))
        .arg("demo")
        // It has its files built in.
        .current_dir(folder.path())
        .output()
        .expect("it starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    assert_eq!(stderr, "");
    let stdout = String::from_utf8(output.stdout).expect("UTF-8");
    let record = stdout.lines().find(|line| line.starts_with('{')).expect("a record");
    let record: serde_json::Value = serde_json::from_str(record).expect("a record is JSON");
    assert_eq!(
        [
            &record["user"],
            &record["verdict"],
            &record["namespace"],
            &record["name"]
        ],
        ["mallory", "deny", "web", "rogue"]
    );
    insta::with_settings!({filters => vec![
        (r"127\.0\.0\.1:\d+", "127.0.0.1:PORT"),
        // Its fields are tested where it is made.
        (r#"\{"schema":.*"#, "{RECORD}"),
    ]}, {
        insta::assert_snapshot!(stdout);
    });
}
