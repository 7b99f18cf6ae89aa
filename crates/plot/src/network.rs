//! Graphs of nodes and edges, and where their nodes go: in layers along the arrows, or pulled together by their edges. The
//! same graph is laid out the same. Must not draw.

/// Nodes and edges.
///
/// ```
/// use wgrad_plot::{Figure, Network};
/// let chain = Network::directed().node("x").node("sin").node("mean").edge(0, 1).edge(1, 2);
/// Figure::new("Recorded").network(&chain).to_svg()?;
/// # Ok::<(), wgrad_plot::PlotError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Network {
    pub(crate) names: Vec<String>,
    pub(crate) groups: Vec<Option<usize>>,
    pub(crate) edges: Vec<(usize, usize)>,
    pub(crate) arrows: bool,
}

/// More cannot be seen.
const MOST_NODES: usize = 1000;
const MOST_EDGES: usize = 10_000;

/// Where things are, within the unit square.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub(crate) nodes: Vec<(f64, f64)>,
    /// Each edge's points between its ends.
    pub(crate) bends: Vec<Vec<(f64, f64)>>,
    /// How many nodes stand side by side at most, and how many layers there are; `None` where there are none.
    pub(crate) layers: Option<(usize, usize)>,
}

impl Network {
    /// Edges without direction.
    pub fn new() -> Network {
        Network::default()
    }

    /// Edges are arrows; without circles, nodes stand in layers from top to bottom.
    pub fn directed() -> Network {
        Network {
            arrows: true,
            ..Network::default()
        }
    }

    /// A further node; its number is how many there were.
    #[must_use]
    pub fn node(mut self, name: impl Into<String>) -> Network {
        self.names.push(name.into());
        self.groups.push(None);
        self
    }

    /// A further node, in the colour of the series `group`.
    #[must_use]
    pub fn node_in(mut self, name: impl Into<String>, group: usize) -> Network {
        self.names.push(name.into());
        self.groups.push(Some(group));
        self
    }

    /// An edge between two nodes by number, which may come later.
    #[must_use]
    pub fn edge(mut self, from: usize, to: usize) -> Network {
        self.edges.push((from, to));
        self
    }

    pub(crate) fn fault(&self) -> Option<String> {
        let nodes = self.names.len();
        if nodes > MOST_NODES || self.edges.len() > MOST_EDGES {
            let edges = self.edges.len();
            return Some(format!(
                "{nodes} nodes and {edges} edges, more than {MOST_NODES} and {MOST_EDGES}"
            ));
        }
        let odd = self
            .edges
            .iter()
            .find(|(from, to)| *from >= nodes || *to >= nodes);
        odd.map(|(from, to)| {
            format!("the edge {from} to {to} names a node beyond the {nodes} there are")
        })
    }

    pub(crate) fn layout(&self) -> Layout {
        let ranks = if self.arrows { self.ranks() } else { None };
        match ranks {
            Some(ranks) => self.layered(&ranks),
            None => self.pulled(),
        }
    }

    /// Each node's layer: below all that point at it. `None` where arrows run in a circle.
    fn ranks(&self) -> Option<Vec<usize>> {
        let mut waiting = vec![0; self.names.len()];
        for (_, to) in &self.edges {
            waiting[*to] += 1;
        }
        let mut ready: Vec<usize> = (0..waiting.len())
            .filter(|&node| waiting[node] == 0)
            .collect();
        let mut ranks = vec![0; waiting.len()];
        let mut done = 0;
        while let Some(node) = ready.pop() {
            done += 1;
            for (_, to) in self.edges.iter().filter(|(from, _)| *from == node) {
                ranks[*to] = ranks[*to].max(ranks[node] + 1);
                waiting[*to] -= 1;
                if waiting[*to] == 0 {
                    ready.push(*to);
                }
            }
        }
        (done == ranks.len()).then_some(ranks)
    }

    /// Layers from top to bottom. A long edge passes each layer between its ends at a place of its own, and places are
    /// ordered by the middle of their neighbours.
    fn layered(&self, ranks: &[usize]) -> Layout {
        let depth = ranks.iter().max().map_or(0, |rank| rank + 1);
        let mut layers: Vec<Vec<usize>> = vec![Vec::new(); depth];
        for (node, &rank) in ranks.iter().enumerate() {
            layers[rank].push(node);
        }
        let mut links: Vec<(usize, usize)> = Vec::new();
        let mut chains = Vec::new();
        let mut places = ranks.len();
        for &(from, to) in &self.edges {
            let mut chain = Vec::new();
            let mut last = from;
            for layer in layers.iter_mut().take(ranks[to]).skip(ranks[from] + 1) {
                layer.push(places);
                links.push((last, places));
                chain.push(places);
                last = places;
                places += 1;
            }
            links.push((last, to));
            chains.push(chain);
        }
        let order = ordered(&mut layers, &links, places);
        let widest = layers.iter().map(Vec::len).max().unwrap_or(1);
        let mut at = vec![(0.0, 0.0); places];
        for (rank, layer) in layers.iter().enumerate() {
            for &place in layer {
                let x = (order[place] + 0.5) / layer.len() as f64;
                at[place] = (x, (rank as f64 + 0.5) / depth.max(1) as f64);
            }
        }
        let bends = chains
            .iter()
            .map(|chain| chain.iter().map(|&place| at[place]).collect());
        Layout {
            bends: bends.collect(),
            nodes: at[..ranks.len()].to_vec(),
            layers: Some((widest, depth)),
        }
    }

    /// Nodes push each other away, edges pull (Fruchterman and Reingold, 1991), from a circle.
    fn pulled(&self) -> Layout {
        let n = self.names.len();
        let angle = |node: usize| std::f64::consts::TAU * node as f64 / n.max(1) as f64;
        // Not quite a circle: one that is even everywhere would not move.
        let start = |node: usize| {
            let reach = 0.4 + 0.01 * (node % 7) as f64;
            (reach * angle(node).cos(), reach * angle(node).sin())
        };
        let mut at: Vec<(f64, f64)> = (0..n).map(start).collect();
        let length = 0.8 / (n.max(1) as f64).sqrt();
        let rounds = (200_000 / (n * n).max(1)).clamp(30, 300);
        for round in 0..rounds {
            let reach = 0.1 * (1.0 - round as f64 / rounds as f64) + 0.001;
            let mut move_by = vec![(0.0, 0.0); n];
            for a in 0..n {
                for b in 0..n {
                    let (dx, dy) = (at[a].0 - at[b].0, at[a].1 - at[b].1);
                    let square = (dx * dx + dy * dy).max(1e-6);
                    move_by[a].0 += dx / square * length * length;
                    move_by[a].1 += dy / square * length * length;
                }
                // Parts without edges to the rest must not drift away.
                move_by[a].0 -= 0.03 * at[a].0;
                move_by[a].1 -= 0.03 * at[a].1;
            }
            for &(a, b) in &self.edges {
                let (dx, dy) = (at[a].0 - at[b].0, at[a].1 - at[b].1);
                let pull = dx.hypot(dy) / length;
                move_by[a] = (move_by[a].0 - dx * pull, move_by[a].1 - dy * pull);
                move_by[b] = (move_by[b].0 + dx * pull, move_by[b].1 + dy * pull);
            }
            for (place, (dx, dy)) in at.iter_mut().zip(move_by) {
                let scale = (reach / dx.hypot(dy).max(1e-9)).min(1.0);
                *place = (place.0 + dx * scale, place.1 + dy * scale);
            }
        }
        Layout {
            nodes: squared(&at),
            bends: vec![Vec::new(); self.edges.len()],
            layers: None,
        }
    }
}

/// Each place's number within its layer, after sweeps down and up that put places at the middle of their neighbours.
fn ordered(layers: &mut [Vec<usize>], links: &[(usize, usize)], places: usize) -> Vec<f64> {
    let (mut above, mut below) = (vec![Vec::new(); places], vec![Vec::new(); places]);
    for &(from, to) in links {
        above[to].push(from);
        below[from].push(to);
    }
    let mut order = vec![0.0; places];
    let number = |layer: &[usize], order: &mut [f64]| {
        for (at, &place) in layer.iter().enumerate() {
            order[place] = at as f64;
        }
    };
    layers.iter().for_each(|layer| number(layer, &mut order));
    let depth = layers.len();
    for sweep in 0..8 {
        let neighbours = if sweep % 2 == 0 { &above } else { &below };
        for step in 0..depth {
            let layer = &mut layers[if sweep % 2 == 0 {
                step
            } else {
                depth - 1 - step
            }];
            let middle = |place: &usize| {
                let near = &neighbours[*place];
                match near.is_empty() {
                    true => order[*place],
                    false => near.iter().map(|&n| order[n]).sum::<f64>() / near.len() as f64,
                }
            };
            let mut keyed: Vec<(f64, usize)> =
                layer.iter().map(|place| (middle(place), *place)).collect();
            keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
            *layer = keyed.into_iter().map(|(_, place)| place).collect();
            number(layer, &mut order);
        }
    }
    order
}

/// Moved and stretched to the unit square, less a border.
fn squared(at: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let ends = |pick: fn(&(f64, f64)) -> f64| {
        let values = at.iter().map(pick);
        values.fold((f64::MAX, f64::MIN), |(lo, hi), v| (lo.min(v), hi.max(v)))
    };
    let (x, y) = (ends(|p| p.0), ends(|p| p.1));
    let place = |value: f64, (lo, hi): (f64, f64)| match hi - lo > 1e-9 {
        true => 0.04 + 0.92 * (value - lo) / (hi - lo),
        false => 0.5,
    };
    at.iter().map(|p| (place(p.0, x), place(p.1, y))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrows_point_down() {
        let graph = Network::directed()
            .node("a")
            .node("b")
            .node("c")
            .edge(0, 1)
            .edge(1, 2)
            .edge(0, 2);
        let layout = graph.layout();
        assert!(layout.nodes[0].1 < layout.nodes[1].1 && layout.nodes[1].1 < layout.nodes[2].1);
        assert_eq!(
            layout.bends.iter().map(Vec::len).collect::<Vec<_>>(),
            [0, 0, 1]
        );
    }

    #[test]
    fn a_circle_and_lonely_nodes_are_laid_out_apart() {
        let circle = Network::directed()
            .node("a")
            .node("b")
            .edge(0, 1)
            .edge(1, 0)
            .edge(1, 1)
            .node("c");
        let layout = circle.layout();
        for (a, b) in [(0, 1), (0, 2), (1, 2)] {
            let (a, b) = (layout.nodes[a], layout.nodes[b]);
            assert!((a.0 - b.0).hypot(a.1 - b.1) > 0.05, "{layout:?}");
        }
        assert!(Network::new().layout().nodes.is_empty());
    }
}
