//! What `wgrad bench --fit` has measured: nanoseconds of one core for each thing that a way counts. The file has a section for
//! each processor; another one takes that with vectors of the same length, or the first.

use super::{COUNTED, Counts};
use crate::conv::way::{Forward, InputGrad, Way, WeightGrad};
use crate::matmul::gemm::kernel::Kernels;
use std::sync::OnceLock;

const FILE: &str = include_str!("costs.tsv");

/// The ways, by their names in the file.
pub(crate) const WAYS: [(&str, Way); 17] = [
    ("forward winograd", Way::Forward(Forward::Winograd)),
    ("forward rows", Way::Forward(Forward::Rows)),
    ("forward product", Way::Forward(Forward::Product)),
    ("forward implicit", Way::Forward(Forward::Implicit)),
    ("forward batched", Way::Forward(Forward::Batched)),
    ("forward interleaved", Way::Forward(Forward::Interleaved)),
    ("forward phases", Way::Forward(Forward::Phases)),
    ("input phases", Way::InputGrad(InputGrad::Phases)),
    ("weight phases", Way::WeightGrad(WeightGrad::Phases)),
    ("input fold", Way::InputGrad(InputGrad::Fold)),
    ("input interleaved", Way::InputGrad(InputGrad::Interleaved)),
    ("weight winograd", Way::WeightGrad(WeightGrad::Winograd)),
    ("weight implicit", Way::WeightGrad(WeightGrad::Implicit)),
    (
        "weight few channels",
        Way::WeightGrad(WeightGrad::FewChannels),
    ),
    ("weight batched", Way::WeightGrad(WeightGrad::Batched)),
    ("weight rows", Way::WeightGrad(WeightGrad::Rows)),
    (
        "weight interleaved",
        Way::WeightGrad(WeightGrad::Interleaved),
    ),
];

/// Where a way's costs are; none of those that nothing competes with.
pub(crate) fn place(way: Way) -> Option<usize> {
    let way = match way {
        Way::InputGrad(InputGrad::AsForward(way)) => Way::Forward(way),
        way => way,
    };
    WAYS.iter().position(|w| w.1 == way)
}

/// The costs of all ways.
pub(crate) type Costs = [Counts; WAYS.len()];

/// Nanoseconds that `way` takes on a core where it counts so much.
pub(crate) fn nanoseconds(way: Way, counts: &Counts) -> f64 {
    static COSTS: OnceLock<Costs> = OnceLock::new();
    let costs = COSTS.get_or_init(|| read(FILE, Kernels::best().lanes));
    place(way).map_or(0.0, |at| time(&costs[at], counts))
}

/// The sum of what happens, each as often as it does.
pub(crate) fn time(costs: &Counts, counts: &Counts) -> f64 {
    costs
        .iter()
        .zip(counts)
        .map(|(cost, count)| cost * count)
        .sum()
}

/// The section of the file for vectors of `lanes`, or its first.
fn read(file: &str, lanes: usize) -> Costs {
    let mut sections: Vec<(usize, Costs)> = Vec::new();
    for line in file.lines().filter(|line| !line.starts_with('#')) {
        let mut fields = line.split('\t');
        let name = fields.next().unwrap_or_default();
        if name == "processor" {
            let lanes = fields.next_back().and_then(|n| n.parse().ok());
            sections.push((lanes.unwrap_or_default(), [[0.0; COUNTED]; WAYS.len()]));
        }
        let Some(at) = WAYS.iter().position(|way| way.0 == name) else {
            continue;
        };
        if let Some((_, costs)) = sections.last_mut() {
            let numbers = fields.map(|n| n.parse().unwrap_or(0.0));
            costs[at]
                .iter_mut()
                .zip(numbers)
                .for_each(|(cost, n)| *cost = n);
        }
    }
    let same = sections.iter().find(|section| section.0 == lanes);
    let section = same.or(sections.first());
    section.map_or([[0.0; COUNTED]; WAYS.len()], |section| section.1)
}

/// A section as it stands in the file.
pub(crate) fn section(processor: &str, costs: &Costs) -> String {
    let mut text = format!("processor\t{processor}\t{}\n", Kernels::best().lanes);
    text += &format!("# way\t{}\n", super::NAMES.join("\t"));
    for ((name, _), costs) in WAYS.iter().zip(costs) {
        let numbers = costs.map(|n| format!("{n:.5}"));
        text += &format!("{name}\t{}\n", numbers.join("\t"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every way stands in the file with costs, and another processor finds some.
    #[test]
    fn the_file_has_every_way() {
        for lanes in [4, 8, 16] {
            let costs = read(FILE, lanes);
            for (way, costs) in WAYS.iter().zip(costs) {
                assert!(
                    costs.iter().all(|n| n.is_finite() && *n >= 0.0),
                    "{}",
                    way.0
                );
                assert!(costs.iter().sum::<f64>() > 0.0, "{}", way.0);
            }
        }
        let costs = [[0.5; COUNTED]; WAYS.len()];
        let read = read(&section("some", &costs), 1);
        assert_eq!(read, costs);
    }
}
