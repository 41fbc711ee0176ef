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
    insta::with_settings!({filters => vec![
        (r"127\.0\.0\.1:\d+", "127.0.0.1:PORT"),
        (r#""time":"[^"]+""#, r#""time":"TIME""#),
        (r#""microseconds":\d+"#, r#""microseconds":N"#),
        (r#""revision":"[0-9a-f]{12}""#, r#""revision":"REVISION""#),
    ]}, {
        insta::assert_snapshot!(String::from_utf8_lossy(&output.stdout));
    });
}
