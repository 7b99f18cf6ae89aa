//! `panels.json`: what a trainer adds to a report beside its curves, in order. Must not draw, nor know what is shown.

use std::path::Path;

use serde_json::{Value, json};

use crate::error::ReportError;

/// One further piece of a report.
#[derive(Clone, Debug, PartialEq)]
pub struct Panel {
    /// The heading it stands under.
    pub section: String,
    /// Its own.
    pub title: String,
    /// What it shows.
    pub kind: PanelKind,
}

/// What a panel shows.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum PanelKind {
    /// A figure, as SVG.
    Svg(String),
    /// Rows under named columns.
    Table {
        /// Names of the columns.
        columns: Vec<String>,
        /// Rows of cells, each as long as there are columns.
        rows: Vec<Vec<String>>,
    },
    /// Text, as it stands.
    Text(String),
}

/// Panels in order, as they are collected and written.
///
/// ```
/// use wgrad_report::Panels;
/// let panels = Panels::new()
///     .section("Test set")
///     .text("Accuracy", "97.2 % of 10000 images")
///     .table("Worst classes", &["class", "recall"], vec![vec!["shirt".into(), "0.71".into()]]);
/// assert_eq!(panels.panels().len(), 2);
/// let folder = std::env::temp_dir().join(format!("wgrad-panels-{}", std::process::id()));
/// std::fs::create_dir_all(&folder)?;
/// panels.write(&folder)?;
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Panels {
    section: String,
    panels: Vec<Panel>,
}

impl Panels {
    /// None.
    pub fn new() -> Panels {
        Panels::default()
    }

    /// The heading of those that follow.
    #[must_use]
    pub fn section(mut self, name: impl Into<String>) -> Panels {
        self.section = name.into();
        self
    }

    /// A figure that is drawn already.
    #[must_use]
    pub fn svg(self, title: impl Into<String>, svg: impl Into<String>) -> Panels {
        self.push(title, PanelKind::Svg(svg.into()))
    }

    /// A figure.
    ///
    /// # Errors
    /// The figure's.
    #[cfg(feature = "html")]
    pub fn figure(
        self,
        title: impl Into<String>,
        figure: &wgrad_plot::Figure,
    ) -> Result<Panels, ReportError> {
        let svg = figure.to_svg()?;
        Ok(self.svg(title, svg))
    }

    /// A table. Rows that are too short or too long are an error when it is written.
    #[must_use]
    pub fn table(
        self,
        title: impl Into<String>,
        columns: &[&str],
        rows: Vec<Vec<String>>,
    ) -> Panels {
        let columns = columns.iter().map(|&column| column.to_owned()).collect();
        self.push(title, PanelKind::Table { columns, rows })
    }

    /// Text.
    #[must_use]
    pub fn text(self, title: impl Into<String>, text: impl Into<String>) -> Panels {
        self.push(title, PanelKind::Text(text.into()))
    }

    fn push(mut self, title: impl Into<String>, kind: PanelKind) -> Panels {
        self.panels.push(Panel {
            section: self.section.clone(),
            title: title.into(),
            kind,
        });
        self
    }

    /// What is there so far.
    pub fn panels(&self) -> &[Panel] {
        &self.panels
    }

    pub(crate) fn into_panels(self) -> Vec<Panel> {
        self.panels
    }

    /// Writes `panels.json` of a run folder anew, whole or not at all.
    ///
    /// # Errors
    /// A table with a ragged row, and the file system's.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn write(&self, folder: impl AsRef<Path>) -> Result<(), ReportError> {
        let path = folder.as_ref().join("panels.json");
        self.panels.iter().try_for_each(Panel::check)?;
        let panels: Vec<Value> = self.panels.iter().map(Panel::json).collect();
        crate::files::replace(&path, Value::from(panels).to_string().as_bytes())
    }

    /// Adds these panels behind those that the run folder has.
    ///
    /// # Errors
    /// As [`write`](Panels::write); a `panels.json` that is broken stays as it is.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn append(&self, folder: impl AsRef<Path>) -> Result<(), ReportError> {
        let folder = folder.as_ref();
        let path = folder.join("panels.json");
        let mut all = match std::fs::read_to_string(&path) {
            Ok(text) => Panels::parse(&path, &text)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Panels::new(),
            Err(error) => return Err(ReportError::at(&path, "read it")(error)),
        };
        all.panels.extend(self.panels.iter().cloned());
        all.write(folder)
    }

    pub(crate) fn parse(path: &Path, text: &str) -> Result<Panels, ReportError> {
        let wrong = |reason: String| ReportError::Content {
            path: path.to_owned(),
            reason,
        };
        let value: Value = serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
        let entries = value
            .as_array()
            .ok_or_else(|| wrong("it is JSON, but no list".to_owned()))?;
        let mut panels = Vec::new();
        for (number, entry) in entries.iter().enumerate() {
            let panel =
                Panel::parse(entry).map_err(|reason| wrong(format!("panel {number}: {reason}")))?;
            panels.push(panel);
        }
        Ok(Panels {
            section: String::new(),
            panels,
        })
    }
}

impl Panel {
    fn check(&self) -> Result<(), ReportError> {
        let PanelKind::Table { columns, rows } = &self.kind else {
            return Ok(());
        };
        match rows.iter().position(|row| row.len() != columns.len()) {
            None => Ok(()),
            Some(row) => Err(ReportError::Input(format!(
                "panel {:?}: row {row} has {} cells, but there are {} columns",
                self.title,
                rows[row].len(),
                columns.len()
            ))),
        }
    }

    fn json(&self) -> Value {
        let mut entry = json!({"section": self.section, "title": self.title});
        let parts = match &self.kind {
            PanelKind::Svg(svg) => json!({"kind": "svg", "svg": svg}),
            PanelKind::Table { columns, rows } => {
                json!({"kind": "table", "columns": columns, "rows": rows})
            }
            PanelKind::Text(text) => json!({"kind": "text", "text": text}),
        };
        if let (Some(entry), Some(parts)) = (entry.as_object_mut(), parts.as_object()) {
            entry.extend(parts.clone());
        }
        entry
    }

    fn parse(entry: &Value) -> Result<Panel, String> {
        let text = |name: &str| entry.get(name).map(crate::json::plain).unwrap_or_default();
        let list = |name: &str| {
            entry
                .get(name)
                .and_then(Value::as_array)
                .ok_or(format!("it has no list \"{name}\""))
        };
        let texts =
            |list: &[Value]| -> Vec<String> { list.iter().map(crate::json::plain).collect() };
        let kind = match entry.get("kind").and_then(Value::as_str) {
            Some("svg") => PanelKind::Svg(text("svg")),
            Some("text") => PanelKind::Text(text("text")),
            Some("table") => {
                let columns = texts(list("columns")?);
                let mut rows = Vec::new();
                for (number, row) in list("rows")?.iter().enumerate() {
                    let row = texts(row.as_array().ok_or(format!("row {number} is no list"))?);
                    if row.len() != columns.len() {
                        return Err(format!(
                            "row {number} has {} cells, but there are {} columns",
                            row.len(),
                            columns.len()
                        ));
                    }
                    rows.push(row);
                }
                PanelKind::Table { columns, rows }
            }
            Some(other) => return Err(format!("\"{other}\" is no kind of panel")),
            None => return Err("it has no \"kind\"".to_owned()),
        };
        Ok(Panel {
            section: text("section"),
            title: text("title"),
            kind,
        })
    }
}
