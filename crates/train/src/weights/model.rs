//! What a model is, beside its weights: architecture, version, hyperparameters, in the metadata of its file.

use super::{Weights, WeightsError};
use serde_json::{Map, Value};

/// An architecture's name and version, and the numbers that it was built with.
///
/// ```
/// use wgrad_train::weights::{ModelInfo, Weights};
/// let info = ModelInfo::new("gpt", "1").with("layers", 4).with("dropout", 0.1);
/// let weights = Weights::default().describe(&info);
/// let read = Weights::from_bytes(&weights.to_safetensors()?, "gpt.safetensors")?;
/// let info = read.info()?.expect("it was written");
/// assert_eq!(info.architecture, "gpt");
/// assert_eq!(info.hyperparameters["layers"], 4);
/// # Ok::<(), wgrad_train::weights::WeightsError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ModelInfo {
    /// The architecture's name, as the program that builds it knows it.
    pub architecture: String,
    /// The version of its layout.
    pub version: String,
    /// Numbers and texts by name.
    pub hyperparameters: Map<String, Value>,
}

const ARCHITECTURE: &str = "architecture";
const VERSION: &str = "version";
const HYPERPARAMETERS: &str = "hyperparameters";

impl ModelInfo {
    /// Without hyperparameters.
    pub fn new(architecture: &str, version: &str) -> ModelInfo {
        ModelInfo {
            architecture: architecture.to_owned(),
            version: version.to_owned(),
            hyperparameters: Map::new(),
        }
    }

    /// With one more hyperparameter.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> ModelInfo {
        self.hyperparameters.insert(name.to_owned(), value.into());
        self
    }
}

impl Weights {
    /// With a description of the model, which safetensors files keep.
    #[must_use]
    pub fn describe(mut self, info: &ModelInfo) -> Weights {
        let hyperparameters = Value::Object(info.hyperparameters.clone()).to_string();
        for (key, text) in [
            (ARCHITECTURE, info.architecture.clone()),
            (VERSION, info.version.clone()),
            (HYPERPARAMETERS, hyperparameters),
        ] {
            self.metadata.insert(key.to_owned(), text);
        }
        self
    }

    /// The description of the model, if the file has one.
    ///
    /// # Errors
    /// The hyperparameters are no JSON object.
    pub fn info(&self) -> Result<Option<ModelInfo>, WeightsError> {
        let text = |key: &str| self.metadata.get(key).cloned().unwrap_or_default();
        if !self.metadata.contains_key(ARCHITECTURE) {
            return Ok(None);
        }
        let hyperparameters = match self.metadata.get(HYPERPARAMETERS) {
            Some(json) => serde_json::from_str(json)
                .map_err(|e| WeightsError::format(&self.origin, format!("hyperparameters: {e}")))?,
            None => Map::new(),
        };
        Ok(Some(ModelInfo {
            architecture: text(ARCHITECTURE),
            version: text(VERSION),
            hyperparameters,
        }))
    }
}
