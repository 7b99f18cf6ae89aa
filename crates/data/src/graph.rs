//! Graphs with features and classes of their nodes: Zachary's karate club, built in, and citation graphs from two text files. Reads
//! files that are untrusted; knows no layer.

use crate::{Error, Result};
use wgrad_graph::{Device, Tensor};

/// Nodes with features and a class each, edges between them, and which nodes are for training and test.
#[derive(Clone, Debug, PartialEq)]
pub struct GraphDataset {
    /// `[nodes, num_features]`, row by row.
    pub features: Vec<f32>,
    /// Features of a node.
    pub num_features: usize,
    /// Each edge once, by its two nodes.
    pub edges: Vec<[i32; 2]>,
    /// The class of each node.
    pub labels: Vec<i32>,
    /// Nodes whose class may be learned from.
    pub train: Vec<i32>,
    /// Nodes whose class is to be found.
    pub test: Vec<i32>,
}

/// Whom each member of the club met, of those with higher numbers.
const MET: [&[i32]; 33] = [
    &[1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 17, 19, 21, 31],
    &[2, 3, 7, 13, 17, 19, 21, 30],
    &[3, 7, 8, 9, 13, 27, 28, 32],
    &[7, 12, 13],
    &[6, 10],
    &[6, 10, 16],
    &[16],
    &[],
    &[30, 32, 33],
    &[33],
    &[],
    &[],
    &[],
    &[33],
    &[32, 33],
    &[32, 33],
    &[],
    &[],
    &[32, 33],
    &[33],
    &[32, 33],
    &[],
    &[32, 33],
    &[25, 27, 29, 32, 33],
    &[25, 27, 31],
    &[31],
    &[29, 33],
    &[33],
    &[31, 33],
    &[32, 33],
    &[32, 33],
    &[32, 33],
    &[33],
];

/// The club's communities by modularity (Brandes et al. 2008).
const COMMUNITIES: [i32; 34] = [
    1, 1, 1, 1, 3, 3, 3, 1, 0, 1, 3, 1, 1, 1, 0, 0, 3, 1, 0, 1, 0, 1, 0, 0, 2, 2, 0, 0, 2, 0, 0, 2,
    0, 0,
];

impl GraphDataset {
    /// Zachary's karate club (1977): 34 members, 78 friendships, four communities. Members have no features but themselves, so
    /// these are one-hot; one member of each community is for training (Kipf and Welling 2017), all others for test.
    ///
    /// ```
    /// let club = wgrad_data::GraphDataset::karate_club();
    /// assert_eq!((club.len(), club.edges.len(), club.classes()), (34, 78, 4));
    /// assert_eq!((club.train.len(), club.test.len()), (4, 30));
    /// ```
    pub fn karate_club() -> GraphDataset {
        let edges = MET.iter().zip(0..);
        let edges = edges.flat_map(|(met, a)| met.iter().map(move |&b| [a, b]));
        let train = vec![0, 4, 8, 24];
        GraphDataset {
            features: (0..34 * 34)
                .map(|at| f32::from(u8::from(at % 35 == 0)))
                .collect(),
            num_features: 34,
            edges: edges.collect(),
            labels: COMMUNITIES.to_vec(),
            test: (0..34).filter(|m| !train.contains(m)).collect(),
            train,
        }
    }

    /// A citation graph such as Cora from `nodes.tsv` (columns `node`, `class`, `split` and `words`, the numbers of the words
    /// present, below `num_features`) and `edges.tsv` (columns `a` and `b`) in `folder`. A paper's features are its words, each
    /// as one by their number.
    ///
    /// # Errors
    /// A file cannot be read, or a line of it is not as said.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn read(folder: impl AsRef<std::path::Path>, num_features: usize) -> Result<GraphDataset> {
        let read = |name: &str| {
            let path = folder.as_ref().join(name);
            let text = std::fs::read_to_string(&path);
            text.map_err(|source| Error::Io {
                action: "read",
                path,
                source,
            })
        };
        GraphDataset::parse(&read("nodes.tsv")?, &read("edges.tsv")?, num_features)
    }

    /// As [`GraphDataset::read`], from the files' texts.
    ///
    /// ```
    /// use wgrad_data::GraphDataset;
    /// let nodes = "node\tclass\tsplit\twords\n0\t1\ttrain\t0 2\n1\t0\ttest\t1\n";
    /// let graph = GraphDataset::parse(nodes, "a\tb\n0\t1\n", 3)?;
    /// assert_eq!(graph.features, [0.5, 0.0, 0.5, 0.0, 1.0, 0.0]);
    /// assert_eq!((graph.labels, graph.train, graph.test), (vec![1, 0], vec![0], vec![1]));
    /// assert!(GraphDataset::parse(nodes, "a\tb\n0\t2\n", 3).is_err());
    /// # Ok::<(), wgrad_data::Error>(())
    /// ```
    ///
    /// # Errors
    /// A line is not as said.
    pub fn parse(nodes: &str, edges: &str, num_features: usize) -> Result<GraphDataset> {
        let mut graph = GraphDataset {
            features: Vec::new(),
            num_features,
            edges: Vec::new(),
            labels: Vec::new(),
            train: Vec::new(),
            test: Vec::new(),
        };
        for (at, line) in nodes.lines().enumerate().skip(1) {
            let read = graph.node(line);
            read.ok_or_else(|| bad("nodes.tsv", at, "node, class, split and words"))?;
        }
        let count = graph.labels.len() as i32;
        for (at, line) in edges.lines().enumerate().skip(1) {
            let ends = line.split_once('\t').and_then(|(a, b)| {
                let ends = [a.trim().parse().ok()?, b.trim().parse().ok()?];
                ends.iter().all(|n| (0..count).contains(n)).then_some(ends)
            });
            let needed = "two nodes of nodes.tsv";
            graph
                .edges
                .push(ends.ok_or_else(|| bad("edges.tsv", at, needed))?);
        }
        Ok(graph)
    }

    /// Takes a line of `nodes.tsv`; `None` if it is not as it should be.
    fn node(&mut self, line: &str) -> Option<()> {
        let mut fields = line.split('\t');
        let (_, label, split) = (fields.next()?, fields.next()?, fields.next()?);
        let words = fields.next()?.split_whitespace().map(str::parse::<usize>);
        let words: Vec<usize> = words.collect::<Result<_, _>>().ok()?;
        let mut row = vec![0.0; self.num_features];
        for &word in &words {
            *row.get_mut(word)? = 1.0 / words.len() as f32;
        }
        let node = self.labels.len() as i32;
        match split {
            "train" => self.train.push(node),
            "test" => self.test.push(node),
            _ => {}
        }
        let label = label.parse().ok().filter(|label| *label >= 0);
        self.labels.push(label?);
        self.features.extend(row);
        Some(())
    }

    /// Nodes.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Classes, one more than the greatest label.
    pub fn classes(&self) -> usize {
        self.labels
            .iter()
            .max()
            .map_or(0, |&most| most as usize + 1)
    }

    /// Features `[nodes, num_features]` on a device.
    pub fn x(&self, device: &Device) -> Tensor {
        Tensor::from_slice(&self.features, &[self.len(), self.num_features], device)
    }

    /// Edges in both directions `[2, 2 · edges]` (i32) on a device, as graph layers take them.
    pub fn edge_index(&self, device: &Device) -> Tensor {
        let ends = |at: usize| self.edges.iter().map(move |edge| edge[at]);
        let both: Vec<i32> = ends(0)
            .chain(ends(1))
            .chain(ends(1))
            .chain(ends(0))
            .collect();
        Tensor::from_slice(&both, &[2, 2 * self.edges.len()], device)
    }
}

fn bad(file: &str, line: usize, needed: &str) -> Error {
    let message = format!("line {} needs {needed}", line + 1);
    Error::Io {
        action: "parse",
        path: file.into(),
        source: std::io::Error::new(std::io::ErrorKind::InvalidData, message),
    }
}
