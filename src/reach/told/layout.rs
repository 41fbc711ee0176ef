//! [`Layout`]: where the parts of a [`Picture`] stand. From left to right as connections go: the outside that connects, the
//! namespaces in layers, in each its workloads in layers, the outside that is reached. Namespaces that nothing connects with
//! another stand below. Written here, since no layered layout in Rust that is kept up knows boxes around nodes.

use std::collections::{BTreeMap, BTreeSet};

use super::names::Part;
use super::picture::{Arrow, Node, Picture};

/// A rectangle; in pixels, as all lengths here.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Frame {
    /// Its left edge.
    pub(super) x: f64,
    /// Its upper edge.
    pub(super) y: f64,
    /// How wide it is.
    pub(super) width: f64,
    /// How high it is.
    pub(super) height: f64,
}

/// A namespace.
#[derive(Debug, Clone)]
pub(super) struct PlacedBox<'p> {
    /// Its name.
    pub(super) name: &'p str,
    /// What is written under it.
    pub(super) note: Option<&'p str>,
    /// Where it stands.
    pub(super) frame: Frame,
    /// Its workloads.
    pub(super) nodes: Vec<(&'p Node, Frame)>,
}

/// Where everything stands.
#[derive(Debug, Clone, Default)]
pub(super) struct Layout<'p> {
    /// The namespaces.
    pub(super) boxes: Vec<PlacedBox<'p>>,
    /// What stands beside them: words, and where.
    pub(super) beside: Vec<(String, Frame)>,
    /// The arrows, each with the frames that it goes from and to.
    pub(super) arrows: Vec<(&'p Arrow, Frame, Frame)>,
    /// How wide all of it is.
    pub(super) width: f64,
    /// How high all of it is.
    pub(super) height: f64,
}

const NODE_HEIGHT: f64 = 46.0;
const GAP: f64 = 22.0;
const PADDING: f64 = 18.0;
const TITLE: f64 = 34.0;
const MARGIN: f64 = 24.0;
/// Beyond this, boxes that stand alone begin another row.
const ROW: f64 = 1100.0;

/// About how wide a text is at this size of letters.
pub(super) fn text_width(text: &str, size: f64) -> f64 {
    let letters = u32::try_from(text.chars().count()).unwrap_or(u32::MAX);
    f64::from(letters) * size * 0.6
}

/// The room that the widest label of some arrows needs between two columns.
fn room<'a>(labels: impl Iterator<Item = &'a str>) -> f64 {
    labels
        .map(|label| text_width(label, 11.0) + 60.0)
        .fold(70.0, f64::max)
        .min(240.0)
}

/// The layer of each of `count` nodes: behind all that lead to it. Of a circle one edge is passed over.
fn layers(count: usize, edges: &BTreeSet<(usize, usize)>) -> Vec<usize> {
    let following = |node: usize| edges.range((node, 0)..(node + 1, 0)).map(|(_, next)| *next);
    let (mut state, mut order) = (vec![0_u8; count], Vec::new());
    let mut forward = BTreeSet::new();
    for root in 0..count {
        let mut stack = vec![(root, false)];
        while let Some((node, left)) = stack.pop() {
            if left {
                state[node] = 2;
                order.push(node);
                continue;
            }
            if state[node] != 0 {
                continue;
            }
            state[node] = 1;
            stack.push((node, true));
            for next in following(node) {
                if state[next] != 1 {
                    forward.insert((node, next));
                }
                if state[next] == 0 {
                    stack.push((next, false));
                }
            }
        }
    }
    // An edge back to a node that had only been put on the stack is one of a circle as well.
    let place: BTreeMap<usize, usize> = order
        .iter()
        .rev()
        .enumerate()
        .map(|(place, node)| (*node, place))
        .collect();
    let mut layer = vec![0; count];
    for node in order.iter().rev() {
        for next in following(*node).filter(|next| place[node] < place[next] && forward.contains(&(*node, *next))) {
            layer[next] = layer[next].max(layer[*node] + 1);
        }
    }
    layer
}

impl<'p> PlacedBox<'p> {
    /// A box at the origin.
    fn new(name: &'p str, nodes: &'p [Node], picture: &'p Picture) -> Self {
        let place = |part: &Part| nodes.iter().position(|node| Part::Workload(node.id) == *part);
        let inner = picture
            .arrows
            .iter()
            .filter_map(|arrow| Some((place(&arrow.source)?, place(&arrow.destination)?, arrow.label.as_str())));
        let inner: Vec<(usize, usize, &str)> = inner.collect();
        let layer = layers(
            nodes.len(),
            &inner
                .iter()
                .map(|(source, destination, _)| (*source, *destination))
                .collect(),
        );
        let gap = room(inner.iter().map(|(_, _, label)| *label));
        let note = picture.within.get(name).map(String::as_str);
        let mut placed = vec![Frame::default(); nodes.len()];
        let (mut x, mut lowest) = (PADDING, TITLE);
        for column in 0..=layer.iter().copied().max().unwrap_or_default() {
            let (mut y, mut width) = (TITLE, 0.0_f64);
            for place in (0..nodes.len()).filter(|place| layer[*place] == column) {
                let wide = text_width(&nodes[place].name, 13.0).max(text_width(&nodes[place].kind, 11.0)) + 28.0;
                placed[place] = Frame {
                    x,
                    y,
                    width: wide,
                    height: NODE_HEIGHT,
                };
                y += NODE_HEIGHT + GAP;
                width = width.max(wide);
            }
            for place in (0..nodes.len()).filter(|place| layer[*place] == column) {
                placed[place].width = width;
            }
            lowest = lowest.max(y);
            x += width + gap;
        }
        let titles = text_width(name, 14.0).max(note.map_or(0.0, |note| text_width(note, 11.0) + 90.0));
        let frame = Frame {
            width: (x - gap + PADDING).max(titles + 2.0 * PADDING),
            height: lowest - GAP + PADDING + note.map_or(0.0, |_| 18.0),
            ..Frame::default()
        };
        Self {
            name,
            note,
            frame,
            nodes: nodes.iter().zip(placed).collect(),
        }
    }

    fn shift(&mut self, x: f64, y: f64) {
        let frames = self.nodes.iter_mut().map(|(_, frame)| frame).chain([&mut self.frame]);
        for frame in frames {
            frame.x += x;
            frame.y += y;
        }
    }
}

impl<'p> Layout<'p> {
    /// Places everything.
    #[expect(clippy::too_many_lines, reason = "one step after the other, from left to right")]
    pub(super) fn of(picture: &'p Picture) -> Self {
        let mut boxes: Vec<PlacedBox<'p>> = picture
            .boxes
            .iter()
            .map(|(name, nodes)| PlacedBox::new(name, nodes, picture))
            .collect();
        let home = |part: &Part| {
            boxes.iter().position(|known| match part {
                Part::Namespace(name) => known.name == name,
                Part::Workload(id) => known.nodes.iter().any(|(node, _)| node.id == *id),
                Part::Everyone | Part::Outside(_) => false,
            })
        };
        let homes: Vec<(Option<usize>, Option<usize>)> = picture
            .arrows
            .iter()
            .map(|arrow| (home(&arrow.source), home(&arrow.destination)))
            .collect();
        let edges: BTreeSet<(usize, usize)> = homes
            .iter()
            .filter_map(|(source, destination)| Some(((*source)?, (*destination)?)))
            .filter(|(source, destination)| source != destination)
            .collect();
        let layer = layers(boxes.len(), &edges);
        let alone = |place: usize| {
            let touched = |home: &Option<usize>| *home == Some(place);
            !homes
                .iter()
                .any(|(source, destination)| source != destination && (touched(source) || touched(destination)))
        };
        let alone: Vec<bool> = (0..boxes.len()).map(alone).collect();
        let between = |arrow: &&Arrow, homes: &(Option<usize>, Option<usize>)| {
            (homes.0 != homes.1).then_some(arrow.label.clone())
        };
        let labels: Vec<String> = picture
            .arrows
            .iter()
            .zip(&homes)
            .filter_map(|(arrow, homes)| between(&arrow, homes))
            .collect();
        let gap = room(labels.iter().map(String::as_str));

        let mut layout = Self::default();
        let mut x = MARGIN;
        let sides = |of: fn(&Arrow) -> &Part| -> BTreeSet<&Part> {
            let beside = |part: &&Part| matches!(part, Part::Everyone | Part::Outside(_));
            picture.arrows.iter().map(of).filter(beside).collect()
        };
        let (from, to) = (sides(|arrow| &arrow.source), sides(|arrow| &arrow.destination));
        let mut place_beside = |parts: BTreeSet<&'p Part>, x: &mut f64| {
            let words = |part: &Part| match part {
                Part::Everyone => format!("every workload ({})", picture.everyone.unwrap_or_default()),
                Part::Outside(words) => words.clone(),
                Part::Namespace(name) => name.clone(),
                Part::Workload(_) => String::new(),
            };
            let widest = parts
                .iter()
                .map(|part| text_width(&words(part), 12.0) + 32.0)
                .fold(0.0, f64::max);
            let mut y = MARGIN;
            let mut frames = BTreeMap::new();
            for part in parts {
                let frame = Frame {
                    x: *x,
                    y,
                    width: widest,
                    height: 36.0,
                };
                y += 36.0 + GAP;
                layout.beside.push((words(part), frame));
                frames.insert(part, frame);
            }
            if widest > 0.0 {
                *x += widest + gap;
            }
            frames
        };
        let mut sources = place_beside(from, &mut x);
        let mut lowest = MARGIN;
        for column in 0..=layer.iter().copied().max().unwrap_or_default() {
            let (mut y, mut width) = (MARGIN, 0.0_f64);
            for (place, placed) in boxes.iter_mut().enumerate() {
                if layer[place] != column || alone[place] {
                    continue;
                }
                placed.shift(x, y);
                y += placed.frame.height + GAP;
                width = width.max(placed.frame.width);
            }
            if width > 0.0 {
                x += width + gap;
            }
            lowest = lowest.max(y);
        }
        let mut destinations = place_beside(to, &mut x);
        let mut right = if x > MARGIN { x - gap } else { x };
        let beside = layout.beside.iter().map(|(_, frame)| frame.y + frame.height + GAP);
        lowest = beside.fold(lowest, f64::max);
        middle(&mut layout.beside, &mut sources, &mut destinations, lowest);
        // What stands alone, in rows.
        let (mut x, mut y, mut height) = (MARGIN, lowest, 0.0_f64);
        for (placed, _) in boxes.iter_mut().zip(&alone).filter(|(_, alone)| **alone) {
            if x > MARGIN && x + placed.frame.width > ROW.max(right) {
                (x, y, height) = (MARGIN, y + height + GAP, 0.0);
            }
            placed.shift(x, y);
            x += placed.frame.width + GAP;
            right = right.max(x - GAP);
            height = height.max(placed.frame.height);
        }
        (layout.width, layout.height) = (right + MARGIN, y + height.max(-GAP) + MARGIN);
        let frame = |part: &Part, side: &BTreeMap<&Part, Frame>| match part {
            Part::Namespace(name) => boxes.iter().find(|known| known.name == name).map(|known| known.frame),
            Part::Workload(id) => boxes
                .iter()
                .flat_map(|known| &known.nodes)
                .find_map(|(node, frame)| (node.id == *id).then_some(*frame)),
            Part::Everyone | Part::Outside(_) => side.get(part).copied(),
        };
        layout.arrows = picture
            .arrows
            .iter()
            .filter_map(|arrow| {
                Some((
                    arrow,
                    frame(&arrow.source, &sources)?,
                    frame(&arrow.destination, &destinations)?,
                ))
            })
            .collect();
        layout.boxes = boxes;
        layout
    }
}

/// Moves what stands beside to the middle of the height.
fn middle<'p>(
    beside: &mut [(String, Frame)],
    sources: &mut BTreeMap<&'p Part, Frame>,
    destinations: &mut BTreeMap<&'p Part, Frame>,
    lowest: f64,
) {
    for side in [sources, destinations] {
        let end = side
            .values()
            .map(|frame| frame.y + frame.height + GAP)
            .fold(MARGIN, f64::max);
        let shift = ((lowest - end) / 2.0).max(0.0);
        for frame in side.values_mut() {
            let here = *frame;
            for (_, known) in beside.iter_mut().filter(|(_, known)| *known == here) {
                known.y += shift;
            }
            frame.y += shift;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case(&[(0, 1), (1, 2)], &[0, 1, 2])]
    #[case(&[(0, 1), (1, 2), (0, 2)], &[0, 1, 2])]
    #[case(&[(0, 1), (1, 0)], &[0, 1])]
    #[case(&[(0, 1), (1, 2), (2, 0)], &[0, 1, 2])]
    #[case(&[(2, 0), (2, 1)], &[1, 1, 0])]
    fn layers_follow_the_edges_and_end_in_circles(#[case] edges: &[(usize, usize)], #[case] expected: &[usize]) {
        assert_eq!(layers(expected.len(), &edges.iter().copied().collect()), expected);
    }
}
