//! A [`Picture`] as a Mermaid flowchart, which GitHub and GitLab draw in pull requests.

use super::names::Part;
use super::picture::{Isolation, Meaning, Picture};

/// Writes the flowchart.
pub fn mermaid(picture: &Picture) -> String {
    let mut text = String::from("flowchart LR\n");
    let outside: Vec<&String> = picture.outside.iter().collect();
    for (place, words) in outside.iter().enumerate() {
        text += &format!("  outside{place}([\"{}\"]):::outside\n", escaped(words));
    }
    if let Some(count) = picture.everyone {
        text += &format!("  everyone([\"every workload ({count})\"])\n");
    }
    for (namespace, nodes) in &picture.boxes {
        let title = match picture.within.get(namespace) {
            Some(words) => format!("{namespace}: {words}"),
            None => namespace.clone(),
        };
        text += &format!("  subgraph {}[\"{}\"]\n", box_name(namespace), escaped(&title));
        for node in nodes {
            let class = match node.isolation {
                Isolation::Both => "",
                Isolation::Ingress => ":::sends",
                Isolation::Egress => ":::receives",
                Isolation::None => ":::open",
            };
            let (name, kind) = (escaped(&node.name), escaped(&node.kind));
            text += &format!(
                "    w{}[\"{name}<br/><small>{kind}</small>\"]{class}\n",
                node.id.index()
            );
        }
        text += "  end\n";
    }
    let id = |part: &Part| match part {
        Part::Everyone => "everyone".to_owned(),
        Part::Namespace(name) => box_name(name),
        Part::Workload(id) => format!("w{}", id.index()),
        Part::Outside(words) => {
            let place = outside.iter().position(|known| *known == words).unwrap_or_default();
            format!("outside{place}")
        }
    };
    for arrow in &picture.arrows {
        let (source, destination) = (id(&arrow.source), id(&arrow.destination));
        let line = match arrow.meaning {
            Meaning::Passes => "-->",
            Meaning::Opened => "==>",
            Meaning::Closed => "-.->",
        };
        text += &format!("  {source} {line}|\"{}\"| {destination}\n", escaped(&arrow.label));
    }
    for (meaning, style) in [
        (Meaning::Opened, "stroke:#dc2626,color:#dc2626"),
        (Meaning::Closed, "stroke:#71717a,color:#71717a"),
    ] {
        let arrows = picture.arrows.iter().enumerate();
        let numbers: Vec<String> = arrows
            .filter(|(_, arrow)| arrow.meaning == meaning)
            .map(|(number, _)| number.to_string())
            .collect();
        if !numbers.is_empty() {
            text += &format!("  linkStyle {} {style}\n", numbers.join(","));
        }
    }
    for (class, style) in [
        ("outside", "fill:#f4f4f5,stroke:#a1a1aa"),
        ("open", "stroke:#dc2626,stroke-dasharray:4 3"),
        ("sends", "stroke:#d97706,stroke-dasharray:4 3"),
        ("receives", "stroke:#d97706,stroke-dasharray:4 3"),
    ] {
        text += &format!("  classDef {class} {style}\n");
    }
    text
}

fn box_name(namespace: &str) -> String {
    format!("ns_{}", namespace.replace('-', "_"))
}

/// Mermaid takes entities of HTML, with `#` for `&`.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for letter in text.chars() {
        match letter {
            '"' => escaped += "#quot;",
            '<' => escaped += "#lt;",
            '>' => escaped += "#gt;",
            '#' => escaped += "#35;",
            letter => escaped.push(letter),
        }
    }
    escaped
}
