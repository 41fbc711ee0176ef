//! What is read without the parser is what the parser reads.

use proptest::prelude::*;

use super::super::pruned::Pruned;
use super::*;

/// As kubectl prints it.
const POD: &str = r#"apiVersion: v1
kind: Pod
metadata:
  annotations:
    kubectl.kubernetes.io/last-applied-configuration: |
      {"apiVersion":"v1","kind":"Pod"}

      # the end
    kubernetes.io/limit-ranger: 'LimitRanger plugin set: cpu request'
  creationTimestamp: "2026-01-01T00:00:00Z"
  generateName: web-7d9f-
  labels:
    app: web
    app.kubernetes.io/version: "1.0"
    pod-template-hash: 7d9fg
    team: '0'
  name: web-7d9f-0
  ownerReferences:
  - apiVersion: apps/v1
    controller: true
    kind: ReplicaSet
    name: web-7d9f
spec:
  containers:
  - args:
    - --port=80
    - |
      echo
        more
    - -c
    command: ["sh"]
    env:
    - name: A
      value: some text, $(B) or other
    - name: C
    image: registry.example/web:1.2.3
    ports:
    - containerPort: 8080
      name: http
      protocol: TCP
    resources: {}
  nodeName: node-1
  tolerations:
  - effect: NoExecute
    tolerationSeconds: 300
status:
  conditions:
  - lastProbeTime: null
    status: "True"
    type: Ready
  phase: Running
  podIP: 10.0.0.1
  podIPs:
  - ip: 10.0.0.1
"#;

fn parsed(text: &str) -> Option<Value> {
    let options = serde_saphyr::options! { budget: None };
    let parsed: Result<Pruned, _> = serde_saphyr::from_str_with_options(text, options);
    parsed.ok().map(|Pruned(value)| value)
}

fn plain() -> String {
    let odd = [
        "    pod-template-hash: 7d9fg\n",
        "    - --port=80\n",
        "    - -c\n",
        "    command: [\"sh\"]\n",
    ];
    odd.into_iter()
        .fold(POD.to_owned(), |text, line| text.replace(line, ""))
}

#[test]
fn what_kubectl_prints_needs_no_parser() {
    for text in [
        plain(),
        format!("---\n{}", plain()),
        format!("- {}", plain().trim_end().replace('\n', "\n  ")),
    ] {
        let value = read(&text).unwrap_or_else(|| panic!("{text}"));
        assert_eq!(Some(value), parsed(&text));
    }
    assert!(parsed(POD).is_some() && read(POD).is_none());
}

#[test]
fn what_is_wrong_or_unusual_is_left_to_the_parser() {
    for text in [
        "",
        "\n",
        "a",
        "- a:\tb\n",
        "a: b\n c\n",
        "a: b\n  c: d\n",
        "a:\n- b\nc: d\n- e\n",
        "a: 1\na: 2\n",
        "env:\n  a: 1\n  a: 2\n",
        "a: [b]\n",
        "a: b # c\n",
        "# a\na: b\n",
        "a: &b c\n",
        "a: *b\n",
        "a: !b c\n",
        "a: yes\n",
        "y: b\n",
        "a: 0x10\n",
        "a: 010\n",
        "a: 1e3\n",
        "a: 1.5\n",
        "a: b: c\n",
        "a: b:\n",
        "a: 'b\n",
        "a: \"b\\n\"\n",
        "a: 'it''s'\n",
        "a: |\n  b\n",
        "a: b\r\n",
        "a: \u{e4}\n",
        "1: a\n",
        "? a\n",
        "a: ~\n",
        "a:  b\n",
        "-  a: b\n",
        "-\n  a: b\n",
        "a: b\n---\nc: d\n",
        "a: b\n...\n",
        "a:\n  b: c\n d: e\n",
        "env:\n- a: |\n    b\n   c\n",
        "env: |2\n  b\n",
        "a: @b\n",
        "a: %b\n",
        "<<: a\n",
        "a: >\n  b\n",
        "a: .inf\n",
    ] {
        assert_eq!(read(text), None, "{text:?}");
    }
}

/// A line of what kubectl prints, further in or out, or something else in its place.
fn line() -> impl Strategy<Value = String> {
    let lines: Vec<String> = POD.lines().map(str::to_owned).collect();
    let odd = [
        "a: b",
        "- a",
        "- a: b",
        "  - a: |",
        "a: >-",
        "  a",
        "",
        "   ",
        "- - a: b",
        "env:",
        "- env: {}",
        "a: 1.5",
        "a: null",
        "a: 'b'",
        "a: \"b\"",
        "a: 'b' c",
        "a: 10.0.0.300",
        "a: - b",
        "a: b - c",
        "a: b #c",
        "a: b# c",
        "a: b:c",
        "a: {",
        "...",
        "a: .5",
        "a: $b",
        "a: (b)",
        "a: _1",
        "a: 00",
        "a: 1_000",
        "a: /b",
        "env: a: b",
        "- -",
        "a:b: c",
        "a-: b",
        "a: NaN",
    ];
    let odd = odd.map(str::to_owned).to_vec();
    let shifted = |(line, by): (String, i32)| match by {
        0.. => " ".repeat(usize::try_from(by).unwrap_or_default()) + &line,
        _ => line
            .strip_prefix(" ".repeat(usize::try_from(-by).unwrap_or_default()).as_str())
            .unwrap_or(&line)
            .to_owned(),
    };
    (
        prop_oneof![prop::sample::select(lines), prop::sample::select(odd)],
        -2..4_i32,
    )
        .prop_map(shifted)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn what_is_read_is_what_the_parser_reads(
        at in 0..40_usize,
        gone in 0..4_usize,
        new in prop::collection::vec(line(), 0..4),
        few in prop::collection::vec(line(), 1..7),
    ) {
        let text = plain();
        let mut lines: Vec<&str> = text.lines().collect();
        let (at, end) = (at.min(lines.len()), (at + gone).min(lines.len()));
        lines.splice(at..end, new.iter().map(String::as_str));
        for text in [lines.join("\n"), few.join("\n"), few.join("\n") + "\n"] {
            if let Some(value) = read(&text) {
                prop_assert_eq!(Some(value), parsed(&text), "{}", text);
            }
        }
    }
}
