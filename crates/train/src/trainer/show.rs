//! Showing a run: events of the trainer as those of a view. Reads no device, and shows nothing itself.

use super::error::Result;
use super::event::{At, Callback, EpochScores, Event, StepRecord};
use super::logs::learning_rates;
use wgrad_graph::Device;
use wgrad_nn::Module;
use wgrad_report::View;
use wgrad_report::view::Event as Seen;

/// Tells a view what happens.
pub(super) struct Show {
    view: Box<dyn View + Send>,
    device: Option<Device>,
    /// Samples of the epoch.
    samples: u64,
}

impl Show {
    pub(super) fn new(view: Box<dyn View + Send>) -> Show {
        Show {
            view,
            device: None,
            samples: 0,
        }
    }

    fn read<S: Module>(&mut self, records: &[StepRecord], state: &mut S, at: &At) {
        self.samples += records.iter().map(|r| r.samples as u64).sum::<u64>();
        let Some(last) = records.last() else {
            return;
        };
        let rates = learning_rates(state);
        let rates = rates.iter().map(|(name, lr)| (name.as_str(), *lr));
        let scalars: Vec<(&str, f64)> = last.iter().chain(rates).collect();
        self.view.event(&Seen::Step {
            step: last.step,
            in_epoch: at.batch(),
            samples: self.samples,
            scalars: &scalars,
            memory: self.device.as_ref().map(|d| d.memory().live_bytes),
        });
    }

    fn epoch(&mut self, epoch: &EpochScores) {
        let training = epoch.training.iter();
        let training: Vec<(String, f64)> =
            training.map(|(n, v)| (format!("train_{n}"), *v)).collect();
        let all = training.iter().chain(&epoch.scores);
        let scores: Vec<(&str, f64)> = all.map(|(n, v)| (n.as_str(), *v)).collect();
        self.view.event(&Seen::Epoch {
            epoch: epoch.epoch,
            step: epoch.step,
            scores: &scores,
            seconds: epoch.seconds,
        });
    }
}

impl<S: Module> Callback<S> for Show {
    fn on(&mut self, event: &Event<'_>, state: &mut S, at: &mut At) -> Result<()> {
        let view = &mut self.view;
        match event {
            Event::Begin(model) => {
                state.visit("", &mut |_, _, t| {
                    self.device.get_or_insert_with(|| t.device().clone());
                });
                if !model.layers.is_empty() {
                    view.event(&Seen::Message(&model.to_string()));
                }
                view.event(&Seen::Begin {
                    name: "",
                    steps: at.total_steps(),
                    epochs: at.epochs(),
                });
            }
            Event::EpochBegin => {
                self.samples = 0;
                view.event(&Seen::EpochBegin {
                    epoch: at.epoch() + 1,
                    steps: at.batches().map(|b| b as u64),
                });
            }
            Event::Read(records) => self.read(records, state, at),
            Event::Epoch(epoch) => self.epoch(epoch),
            Event::Message(text) => view.event(&Seen::Message(text)),
            Event::End(fitted) => view.event(&Seen::End {
                stopped: fitted.stopped.as_deref(),
            }),
            Event::Failed(error) => view.event(&Seen::End {
                stopped: Some(&error.to_string()),
            }),
            _ => {}
        }
        Ok(())
    }
}
