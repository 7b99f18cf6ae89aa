//! Attentions: which results one step computes, and what its kernel is told. Results of one forward or one backward pass read the
//! same operands, and share the scores that are computed for them. It must not know how they are computed.

use super::Graph;
use super::mark::{Marked, is_mask};
use crate::ops::Lowered;
use crate::ops::attention_scores::Scores;
use crate::plan::{Attention, AttentionResult, Heads};
use rustc_hash::FxHashMap;

/// The nodes that the step of a node computes, with what each is, in the order of the step's outputs.
pub(super) type Groups = FxHashMap<usize, Vec<(AttentionResult, usize)>>;

/// What results of one step have in common: the operands, but for the values in a forward pass.
type Key = (bool, Scores, Vec<usize>);

/// The groups, by the first node of each.
pub(super) fn groups(graph: &Graph, lowered: &[Lowered]) -> Groups {
    let mut groups = Groups::default();
    let mut open: FxHashMap<Key, Vec<usize>> = FxHashMap::default();
    for (n, l) in lowered.iter().enumerate() {
        let Lowered::Attention { result, scores } = *l else {
            continue;
        };
        let mut operands = graph.nodes[n].inputs.clone();
        if result == AttentionResult::Out {
            operands.remove(2);
        }
        let firsts = open
            .entry((result.is_gradient(), scores, operands))
            .or_default();
        // What comes first is computed where all operands of all results are there.
        let fits = |&&first: &&usize| {
            let group: &Vec<_> = &groups[&first];
            let other = group.iter().all(|(r, _)| *r != result);
            other && graph.nodes[n].inputs.iter().all(|&i| i < first)
        };
        match firsts.iter().find(fits).copied() {
            Some(first) => {
                if let Some(group) = groups.get_mut(&first) {
                    group.push((result, n));
                    group.sort_unstable_by_key(|&(result, _)| result as u8);
                }
            }
            None => {
                firsts.push(n);
                groups.insert(n, vec![(result, n)]);
            }
        }
    }
    groups
}

/// The operands of a group's step in the order of [`Attention`], each with whether it is the mask.
pub(super) fn operands(marked: &Marked, group: &[(AttentionResult, usize)]) -> Vec<(usize, bool)> {
    let inputs = |n: usize| marked.graph.nodes[n].inputs.iter().enumerate();
    let (result, n) = group[0];
    let mut all: Vec<(usize, bool)> = inputs(n).map(|(at, &i)| (i, is_mask(result, at))).collect();
    if result == AttentionResult::Normalizer {
        all.insert(2, all[1]);
    }
    all
}

/// The kernel of a group, whose operands lie like this.
pub(super) fn kernel(
    marked: &Marked,
    group: &[(AttentionResult, usize)],
    inputs: Vec<Heads>,
) -> Option<Attention> {
    let (result, n) = group[0];
    let nodes = &marked.graph.nodes;
    let shape = |at: usize| nodes[nodes[n].inputs[at]].shape.as_slice();
    let Lowered::Attention { scores, .. } = marked.lowered[n] else {
        return None;
    };
    let (&[a, b, queries, features], &[_, _, keys, _]) = (shape(0), shape(1)) else {
        return None;
    };
    let value_features = match result {
        AttentionResult::Normalizer => 0,
        _ => shape(2)[3],
    };
    let plain = if result.is_gradient() { 5 } else { 3 };
    Some(Attention {
        results: group.iter().map(|&(result, _)| result).collect(),
        batch: [a, b],
        queries,
        keys,
        features,
        value_features,
        scale: (scores.scale() as f32).to_bits(),
        causal: scores.causal,
        mask: inputs.len() > plain,
        inputs,
    })
}
