//! Optional arguments of recurrent layers: plain numbers. Holds no tensors.

use crate::host::{Saved, Value, hashed, put_back, shown, values};
use std::hash::{Hash, Hasher};

/// Optional arguments of recurrent layers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RecurrentOptions {
    /// Layers, each on the outputs of the one before; 1.
    pub num_layers: usize,
    /// Adds biases; true.
    pub bias: bool,
    /// Sequences are `[batch, time, features]`, not `[time, batch, features]`; false.
    pub batch_first: bool,
    /// Dropout on the outputs of all layers but the last; 0.
    pub dropout: f64,
    /// Every layer also runs backwards, and outputs of both directions stand side by side; false.
    pub bidirectional: bool,
    /// Size the LSTM's hidden state is projected to; 0 is none. Other layers have none.
    pub proj_size: usize,
    /// The LSTM's gates also see its cells (Gers and Schmidhuber 2000), by `weight_ci`, `weight_cf` and `weight_co`; false.
    /// Other layers have none.
    pub peepholes: bool,
    /// The LSTM forgets as much as it takes in, `f = 1 − i`, and has three gates (Greff et al. 2015, CIFG); false. Other
    /// layers have none.
    pub coupled_gates: bool,
    /// Steps that a second connection of the plain layers reaches back, by `weight_skip` (Lin et al. 1996); 0 is none.
    /// Other layers have none.
    pub skip: usize,
}

impl Default for RecurrentOptions {
    fn default() -> RecurrentOptions {
        RecurrentOptions {
            num_layers: 1,
            bias: true,
            batch_first: false,
            dropout: 0.0,
            bidirectional: false,
            proj_size: 0,
            peepholes: false,
            coupled_gates: false,
            skip: 0,
        }
    }
}

impl RecurrentOptions {
    /// With several layers.
    pub fn num_layers(self, num_layers: usize) -> RecurrentOptions {
        RecurrentOptions { num_layers, ..self }
    }

    /// With or without biases.
    pub fn bias(self, bias: bool) -> RecurrentOptions {
        RecurrentOptions { bias, ..self }
    }

    /// Sequences are `[batch, time, features]`.
    pub fn batch_first(self, batch_first: bool) -> RecurrentOptions {
        RecurrentOptions {
            batch_first,
            ..self
        }
    }

    /// With dropout between layers.
    pub fn dropout(self, dropout: f64) -> RecurrentOptions {
        RecurrentOptions { dropout, ..self }
    }

    /// In both directions.
    pub fn bidirectional(self, bidirectional: bool) -> RecurrentOptions {
        RecurrentOptions {
            bidirectional,
            ..self
        }
    }

    /// With a projected hidden state.
    pub fn proj_size(self, proj_size: usize) -> RecurrentOptions {
        RecurrentOptions { proj_size, ..self }
    }

    /// With gates that see the cells.
    pub fn peepholes(self, peepholes: bool) -> RecurrentOptions {
        RecurrentOptions { peepholes, ..self }
    }

    /// With one gate for taking in and forgetting.
    pub fn coupled_gates(self, coupled_gates: bool) -> RecurrentOptions {
        RecurrentOptions {
            coupled_gates,
            ..self
        }
    }

    /// With a connection that skips time.
    pub fn skip(self, skip: usize) -> RecurrentOptions {
        RecurrentOptions { skip, ..self }
    }

    /// Without what only the LSTM has.
    pub(super) fn without_lstm(self) -> RecurrentOptions {
        RecurrentOptions {
            proj_size: 0,
            peepholes: false,
            coupled_gates: false,
            ..self
        }
    }

    pub(super) fn directions(&self) -> usize {
        1 + usize::from(self.bidirectional)
    }
}

impl Hash for RecurrentOptions {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let sizes = [self.num_layers, self.proj_size, self.skip];
        let flags = [
            self.bias,
            self.batch_first,
            self.bidirectional,
            self.peepholes,
            self.coupled_gates,
        ];
        (sizes, flags, self.dropout.to_bits()).hash(state);
    }
}

values! {
    {} RecurrentOptions |x| hashed(x);
}
