//! A [`Picture`] as SVG, for documents and browsers: light or dark as its reader likes, arrows come forward under the mouse
//! and say what they are.

use super::layout::{Frame, Layout, PlacedBox, text_width};
use super::picture::{Isolation, Meaning, Node, Picture};

const STYLE: &str = "\
svg { --ink: #18181b; --dim: #71717a; --paper: #ffffff; --box: #f4f6f9; --edge: #d4d8e0; --arrow: #64748b;
  --hot: #2563eb; --open: #dc2626; --half: #d97706; background: var(--paper);
  font-family: system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif; }
@media (prefers-color-scheme: dark) { svg { --ink: #f4f4f5; --dim: #a1a1aa; --paper: #18181b; --box: #232329;
  --edge: #3f3f46; --arrow: #94a3b8; --hot: #60a5fa; --open: #f87171; --half: #fbbf24; } }
text { fill: var(--ink); } .dim { fill: var(--dim); font-size: 11px; }
.box { fill: var(--box); stroke: var(--edge); } .title { font-size: 14px; font-weight: 600; }
.node { fill: var(--paper); stroke: var(--arrow); stroke-width: 1.4; } .name { font-size: 13px; font-weight: 500; }
.open { stroke: var(--open); stroke-dasharray: 5 3; } .half { stroke: var(--half); stroke-dasharray: 5 3; }
.beside { fill: var(--paper); stroke: var(--dim); } .arrow path { fill: none; stroke: var(--arrow); stroke-width: 1.5; }
.arrow text { font-size: 11px; fill: var(--ink); } .arrow rect { fill: var(--paper); opacity: .9; }
.opened path { stroke: var(--open); stroke-width: 2.2; } .closed path { stroke: var(--dim); stroke-dasharray: 2 4; }
.arrow:hover path { stroke: var(--hot); stroke-width: 2.5; } .arrow:hover text { fill: var(--hot); font-weight: 600; }
#head path { fill: var(--arrow); }
";

/// Writes the picture.
pub fn svg(picture: &Picture) -> String {
    let layout = Layout::of(picture);
    let legend = legend(picture);
    let (width, height) = (
        layout.width.max(360.0),
        layout.height + if legend.is_empty() { 0.0 } else { 30.0 },
    );
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" height=\"{height:.0}\" role=\"img\">\n\
         <title>Who reaches whom</title>\n<style>\n{STYLE}</style>\n\
         <defs><marker id=\"head\" viewBox=\"0 0 10 10\" refX=\"9\" refY=\"5\" markerWidth=\"7\" markerHeight=\"7\" orient=\"auto-start-reverse\"><path d=\"M0 0 10 5 0 10z\"/></marker></defs>\n"
    );
    for placed in &layout.boxes {
        text += &namespace(placed);
    }
    for (words, frame) in &layout.beside {
        text += &format!(
            "<rect class=\"beside\" {} rx=\"{:.0}\"/>\n<text class=\"name\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\n",
            rectangle(frame),
            frame.height / 2.0,
            frame.x + frame.width / 2.0,
            frame.y + frame.height / 2.0 + 4.5,
            escaped(words)
        );
    }
    text += &arrows(&layout);
    if !legend.is_empty() {
        text += &format!(
            "<text class=\"dim\" x=\"24\" y=\"{:.1}\">{legend}</text>\n",
            height - 18.0
        );
    }
    text + "</svg>\n"
}

/// What dashes mean, of those that are there.
fn legend(picture: &Picture) -> String {
    let has = |isolation| picture.boxes.values().flatten().any(|node| node.isolation == isolation);
    let words = [
        (Isolation::None, "red: no policy isolates it"),
        (
            Isolation::Ingress,
            "amber: isolated for what comes in or what goes out alone",
        ),
        (
            Isolation::Egress,
            "amber: isolated for what comes in or what goes out alone",
        ),
    ];
    let mut words: Vec<&str> = words
        .into_iter()
        .filter(|(isolation, _)| has(*isolation))
        .map(|(_, words)| words)
        .collect();
    words.dedup();
    if words.is_empty() {
        return String::new();
    }
    format!(
        "Dashed, {}. Where nothing isolates either end everything passes, without an arrow.",
        words.join("; ")
    )
}

fn namespace(placed: &PlacedBox<'_>) -> String {
    let PlacedBox {
        name,
        note,
        frame,
        nodes,
    } = placed;
    let mut text = format!(
        "<rect class=\"box\" {} rx=\"12\"/>\n<text class=\"title\" x=\"{:.1}\" y=\"{:.1}\">{}</text>\n",
        rectangle(frame),
        frame.x + 16.0,
        frame.y + 22.0,
        escaped(name)
    );
    if let Some(note) = note {
        text += &format!(
            "<text class=\"dim\" x=\"{:.1}\" y=\"{:.1}\">{}</text>\n",
            frame.x + 16.0,
            frame.y + frame.height - 10.0,
            escaped(note)
        );
    }
    for (node, frame) in nodes {
        text += &workload(node, frame);
    }
    text
}

fn workload(node: &Node, frame: &Frame) -> String {
    let class = match node.isolation {
        Isolation::Both => "node",
        Isolation::Ingress | Isolation::Egress => "node half",
        Isolation::None => "node open",
    };
    let middle = frame.x + frame.width / 2.0;
    format!(
        "<rect class=\"{class}\" {} rx=\"8\"/>\n<text class=\"name\" x=\"{middle:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\n\
         <text class=\"dim\" x=\"{middle:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\n",
        rectangle(frame),
        frame.y + 20.0,
        escaped(&node.name),
        frame.y + 36.0,
        escaped(&node.kind)
    )
}

/// The arrows, each with its label where nothing else stands.
fn arrows(layout: &Layout<'_>) -> String {
    let nodes = layout
        .boxes
        .iter()
        .flat_map(|placed| &placed.nodes)
        .map(|(_, frame)| *frame);
    let mut taken: Vec<Frame> = nodes.chain(layout.beside.iter().map(|(_, frame)| *frame)).collect();
    let mut text = String::new();
    for (place, (arrow, source, destination)) in layout.arrows.iter().enumerate() {
        // Arrows of one frame stand apart, in the order in which they are drawn.
        let apart = |frame: &Frame, of: fn(&(&super::picture::Arrow, Frame, Frame)) -> Frame| {
            let alike: Vec<usize> = (0..layout.arrows.len())
                .filter(|other| of(&layout.arrows[*other]) == *frame)
                .collect();
            let rank = alike.iter().position(|other| *other == place).unwrap_or_default();
            let (rank, count) = (number(rank) + 1.0, number(alike.len()) + 1.0);
            frame.y + frame.height * rank / count
        };
        let (start_y, end_y) = (apart(source, |arrow| arrow.1), apart(destination, |arrow| arrow.2));
        let curve = Curve::between(source, start_y, destination, end_y);
        let label = shortened(&arrow.label);
        let width = text_width(&label, 11.0) + 10.0;
        let frame = |part: f64| {
            let (x, y) = curve.at(part);
            Frame {
                x: x - width / 2.0,
                y: y - 9.0,
                width,
                height: 18.0,
            }
        };
        let parts = [0.5, 0.42, 0.58, 0.34, 0.66, 0.26, 0.74, 0.2, 0.8];
        let free = parts
            .into_iter()
            .map(frame)
            .find(|frame| !taken.iter().any(|other| overlap(frame, other)));
        let frame = free.unwrap_or_else(|| frame(0.5));
        taken.push(frame);
        text += &format!(
            "<g class=\"{}\"><title>{}</title><path d=\"{}\" marker-end=\"url(#head)\"/><rect {} rx=\"6\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text></g>\n",
            match arrow.meaning {
                Meaning::Passes => "arrow",
                Meaning::Opened => "arrow opened",
                Meaning::Closed => "arrow closed",
            },
            escaped(&arrow.label),
            curve.path(),
            rectangle(&frame),
            frame.x + frame.width / 2.0,
            frame.y + 13.0,
            escaped(&label)
        );
    }
    text
}

/// A cubic Bézier curve.
struct Curve([(f64, f64); 4]);

impl Curve {
    /// From the right edge of one frame to the left edge of another, or round the right where that is not to its right.
    fn between(source: &Frame, start_y: f64, destination: &Frame, end_y: f64) -> Self {
        let start = source.x + source.width;
        if destination.x > start {
            let bend = ((destination.x - start) / 2.0).max(30.0);
            let end = destination.x;
            return Self([
                (start, start_y),
                (start + bend, start_y),
                (end - bend, end_y),
                (end, end_y),
            ]);
        }
        let end = destination.x + destination.width;
        let bend = 60.0 + (start_y - end_y).abs() / 6.0;
        let reach = start.max(end) + bend;
        Self([(start, start_y), (reach, start_y), (reach, end_y), (end, end_y)])
    }

    fn at(&self, part: f64) -> (f64, f64) {
        let rest = 1.0 - part;
        let weights = [
            rest.powi(3),
            3.0 * rest.powi(2) * part,
            3.0 * rest * part.powi(2),
            part.powi(3),
        ];
        let sum = |coordinate: fn(&(f64, f64)) -> f64| {
            self.0
                .iter()
                .zip(weights)
                .map(|(point, weight)| coordinate(point) * weight)
                .sum()
        };
        (sum(|point| point.0), sum(|point| point.1))
    }

    fn path(&self) -> String {
        let [start, one, two, end] = self.0.map(|(x, y)| format!("{x:.1} {y:.1}"));
        format!("M{start}C{one} {two} {end}")
    }
}

fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

fn overlap(one: &Frame, other: &Frame) -> bool {
    one.x < other.x + other.width
        && other.x < one.x + one.width
        && one.y < other.y + other.height
        && other.y < one.y + one.height
}

/// What is beside an arrow: a long list of ports is told by its title.
fn shortened(label: &str) -> String {
    const MOST: usize = 30;
    if label.chars().count() <= MOST {
        return label.to_owned();
    }
    label.chars().take(MOST - 1).chain(['…']).collect()
}

fn rectangle(frame: &Frame) -> String {
    let Frame { x, y, width, height } = frame;
    format!("x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
