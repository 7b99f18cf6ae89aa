//! One drawing of a dashboard, for any size of the terminal. Must not keep anything.

use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Axis, Block, Chart, Dataset, Gauge, GraphType, LegendPosition, Paragraph};

use super::super::{clock, number};
use super::state::{Curve, State};

/// A chart is at least so wide and high.
const NARROWEST: u16 = 36;
const LOWEST: u16 = 8;
/// By series; those of most terminals, which their owners have made readable.
const COLORS: [Color; 6] = [
    Color::Cyan,
    Color::Yellow,
    Color::Green,
    Color::Magenta,
    Color::Blue,
    Color::Red,
];
const MUTED: Style = Style::new().add_modifier(Modifier::DIM);

/// Draws all of it.
pub(super) fn draw(frame: &mut Frame<'_>, state: &State) {
    let area = frame.area();
    let told = (area.height / 5).clamp(1, 10);
    let parts = [
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Min(0),
        Constraint::Length(2),
        Constraint::Length(told),
    ];
    let [title, gauge, charts, numbers, lines] = Layout::vertical(parts).areas(area);
    frame.render_widget(heading(state), title);
    let bar = Gauge::default()
        .ratio(state.done())
        .use_unicode(true)
        .gauge_style(Style::new().fg(Color::Cyan))
        .label(progress(state));
    frame.render_widget(bar, gauge);
    draw_charts(frame, state, charts);
    frame.render_widget(Paragraph::new(figures(state, numbers.width)), numbers);
    let last: Vec<&str> = state.told().rev().take(usize::from(told)).collect();
    let last: Vec<Line<'_>> = last.into_iter().rev().map(Line::from).collect();
    frame.render_widget(Paragraph::new(last).style(MUTED), lines);
}

fn heading(state: &State) -> Paragraph<'static> {
    let name = if state.name.is_empty() {
        "training"
    } else {
        &state.name
    };
    let mut spans = vec![Span::styled(
        name.to_owned(),
        Style::new().add_modifier(Modifier::BOLD),
    )];
    if state.epochs > 0 {
        spans.push(Span::raw(format!(
            "  epoch {}/{}",
            state.epoch, state.epochs
        )));
    }
    let of = state
        .steps
        .map_or_else(String::new, |steps| format!("/{steps}"));
    spans.push(Span::raw(format!("  step {}{of}", state.step)));
    Paragraph::new(Line::from(spans))
}

fn progress(state: &State) -> String {
    let left = state.left().map_or_else(|| "?".to_owned(), clock);
    format!(
        "{:.0} %  {} < {left}",
        100.0 * state.done(),
        clock(state.began.elapsed())
    )
}

/// Speed and memory, and the last of each scalar, as many as fit into two lines.
fn figures(state: &State, width: u16) -> Vec<Line<'static>> {
    let mut first = format!("{:.0} samples/s", state.samples_per_second());
    if let Some(memory) = state.memory {
        first.push_str(&format!(
            "   memory {}, at most {}",
            bytes(memory),
            bytes(state.most_memory)
        ));
    }
    let mut second = String::new();
    for curve in state
        .curves
        .iter()
        .filter(|curve| !curve.name.contains("grad_norm."))
    {
        let text = format!("{} {}   ", curve.name, number(curve.last));
        if second.chars().count() + text.chars().count() <= usize::from(width) {
            second.push_str(&text);
        }
    }
    vec![Line::from(first), Line::from(second)]
}

fn bytes(value: u64) -> String {
    match value {
        0..10_000_000 => format!("{:.1} MB", value as f64 / 1e6),
        10_000_000..10_000_000_000 => format!("{} MB", value / 1_000_000),
        _ => format!("{:.1} GB", value as f64 / 1e9),
    }
}

/// What belongs into one chart: `loss` with `validation_loss`.
fn family(name: &str) -> &str {
    let data = ["train_", "validation_", "val_", "test_"];
    let rest = data
        .iter()
        .find_map(|data| name.strip_prefix(data))
        .unwrap_or(name);
    rest.split('.').next().unwrap_or(rest)
}

fn draw_charts(frame: &mut Frame<'_>, state: &State, area: Rect) {
    let mut families: Vec<(&str, Vec<&Curve>)> = Vec::new();
    for curve in &state.curves {
        let name = family(&curve.name);
        match families.iter_mut().find(|(other, _)| *other == name) {
            Some((_, curves)) => curves.push(curve),
            None => families.push((name, vec![curve])),
        }
    }
    // Losses and scores before rates and norms.
    families.sort_by_key(|(name, _)| match *name {
        "loss" => 0,
        "accuracy" => 1,
        "lr" => 3,
        "grad_norm" => 4,
        "seconds" => 5,
        _ => 2,
    });
    if families.is_empty() || area.height < 4 || area.width < 16 {
        return;
    }
    let columns = usize::from(area.width / NARROWEST)
        .clamp(1, 3)
        .min(families.len());
    let rows = usize::from(area.height / LOWEST)
        .clamp(1, 3)
        .min(families.len().div_ceil(columns));
    let heights = vec![Constraint::Fill(1); rows];
    let rows = Layout::vertical(heights).split(area);
    // A last row that is not full is stretched.
    for (row, families) in rows.iter().zip(families.chunks(columns)) {
        let widths = vec![Constraint::Fill(1); families.len()];
        for (cell, (name, curves)) in Layout::horizontal(widths).split(*row).iter().zip(families) {
            draw_chart(frame, name, curves, *cell);
        }
    }
}

fn draw_chart(frame: &mut Frame<'_>, name: &str, curves: &[&Curve], area: Rect) {
    let values = || curves.iter().flat_map(|curve| &curve.values);
    let range = |pick: fn(&(f64, f64)) -> f64| {
        let ends = values()
            .map(pick)
            .fold((f64::MAX, f64::MIN), |(lo, hi), v| (lo.min(v), hi.max(v)));
        match ends {
            (lo, hi) if lo > hi => (0.0, 1.0),
            (lo, hi) if hi - lo <= 1e-12 * lo.abs().max(hi.abs()) => {
                let pad = if lo == 0.0 { 0.5 } else { lo.abs() * 0.1 };
                (lo - pad, hi + pad)
            }
            ends => ends,
        }
    };
    let (x, y) = (range(|v| v.0), range(|v| v.1));
    // A chart divides by the length of its axes.
    let log = y.0 > 0.0 && y.1 / y.0 > 20.0;
    let logged: Vec<Vec<(f64, f64)>> = match log {
        true => curves
            .iter()
            .map(|c| c.values.iter().map(|v| (v.0, v.1.log10())).collect())
            .collect(),
        false => curves.iter().map(|c| c.values.clone()).collect(),
    };
    let bounds = if log {
        [y.0.log10(), y.1.log10()]
    } else {
        [y.0, y.1]
    };
    let many = curves.len() > 1;
    let datasets = curves
        .iter()
        .zip(&logged)
        .enumerate()
        .map(|(at, (curve, values))| {
            let dataset = Dataset::default()
                .marker(Marker::Braille)
                .graph_type(if values.len() > 1 {
                    GraphType::Line
                } else {
                    GraphType::Scatter
                })
                .style(Style::new().fg(COLORS[at % COLORS.len()]))
                .data(values);
            if many {
                dataset.name(curve.name.clone())
            } else {
                dataset
            }
        });
    let title = if log {
        format!(" {name}, logarithmic ")
    } else {
        format!(" {name} ")
    };
    let labels = |lo: f64, hi: f64| [number(lo), number(hi)].map(Line::from);
    let chart = Chart::new(datasets.collect())
        .block(Block::bordered().border_style(MUTED).title(title))
        .legend_position(many.then_some(LegendPosition::TopRight))
        .hidden_legend_constraints((Constraint::Ratio(1, 2), Constraint::Ratio(1, 2)))
        .x_axis(
            Axis::default()
                .bounds([x.0, x.1])
                .labels([format!("{:.0}", x.0), format!("{:.0}", x.1)])
                .style(MUTED),
        )
        .y_axis(
            Axis::default()
                .bounds(bounds)
                .labels(labels(y.0, y.1))
                .labels_alignment(Alignment::Right)
                .style(MUTED),
        );
    frame.render_widget(chart, area);
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::super::super::Event;
    use super::*;

    fn screen(state: &State, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, state)).unwrap();
        let buffer = terminal.backend().buffer().clone();
        let line = |y: u16| {
            (0..width)
                .map(|x| buffer[(x, y)].symbol())
                .collect::<String>()
        };
        (0..height).map(line).collect::<Vec<_>>().join("\n")
    }

    fn told() -> State {
        let mut state = State::default();
        state.note(&Event::Begin {
            name: "digits",
            steps: Some(200),
            epochs: 2,
        });
        state.note(&Event::EpochBegin {
            epoch: 1,
            steps: Some(100),
        });
        for step in 1..=100u64 {
            let scalars = [
                ("loss", 2.3 / step as f64),
                ("lr", 1e-3),
                ("grad_norm.fc1", f64::NAN),
            ];
            state.note(&Event::Step {
                step,
                in_epoch: step,
                samples: 64 * step,
                scalars: &scalars,
                memory: Some(123_000_000),
            });
        }
        let scores = [
            ("train_loss", 0.2),
            ("validation_loss", 0.3),
            ("validation_accuracy", 0.91),
        ];
        state.note(&Event::Epoch {
            epoch: 1,
            step: 100,
            scores: &scores,
            seconds: 1.5,
        });
        state.note(&Event::Message("saved \u{1b}[2J the best"));
        state
    }

    #[test]
    fn everything_is_on_a_common_terminal() {
        let state = told();
        for (width, height) in [(80, 24), (200, 50)] {
            let screen = screen(&state, width, height);
            for part in [
                "digits",
                "epoch 1/2",
                "step 100/200",
                "50 %",
                "samples/s",
                "memory 123 MB",
                "loss",
                "accuracy",
                "epoch 1/2: train_loss",
                "saved",
            ] {
                assert!(screen.contains(part), "{part}\n{screen}");
            }
            assert!(!screen.contains('\u{1b}'));
        }
    }

    #[test]
    fn no_size_is_too_small() {
        for state in [State::default(), told()] {
            for width in [1, 2, 5, 16, 17, 30, 300] {
                for height in [1, 2, 3, 5, 9, 13, 90] {
                    screen(&state, width, height);
                }
            }
        }
    }
}
