//! What a person sees of a run: `report.html` of a run folder, two runs compared, live views on a terminal, TensorBoard's
//! event files and CSV.
//!
//! A run folder holds plain files, and everything here reads or writes those:
//!
//! | file | what |
//! |---|---|
//! | `run.json` | one object: command, name, device, seed, wgrad's version, start, settings, model |
//! | `metrics.jsonl` | one object a line: `step` with its scalars, `epoch` with its scores, `end` |
//! | `panels.json` | further figures, tables and texts, in order ([`Panels`]) |
//! | `trace.json` | kernel times, where the run was profiled into the folder |
//! | `report.html` | what [`Run::write_html`] makes of them |
//!
//! ```
//! let folder = std::env::temp_dir().join(format!("wgrad-report-doc-{}", std::process::id()));
//! std::fs::create_dir_all(&folder)?;
//! std::fs::write(folder.join("run.json"), r#"{"name":"first","device":"cpu","seed":0,"settings":{"lr":0.001}}"#)?;
//! std::fs::write(folder.join("metrics.jsonl"), "{\"event\":\"step\",\"step\":1,\"loss\":2.3}\n")?;
//! let run = wgrad_report::Run::read(&folder)?;
//! assert_eq!(run.curve("loss").map(|curve| curve.ys[0]), Some(2.3));
//! # #[cfg(feature = "html")]
//! let page = run.write_html()?;
//! # std::fs::remove_dir_all(&folder)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The files are untrusted: every string is escaped, a broken line is an error that names file and line, and the page runs
//! no script but its own and loads nothing. Must not know tensors or a trainer.

#![cfg_attr(
    target_arch = "wasm32",
    allow(dead_code, reason = "there are no files to read")
)]

mod csv;
mod error;
#[cfg(not(target_arch = "wasm32"))]
mod files;
mod json;
#[cfg(feature = "html")]
mod page;
mod panels;
mod run;
#[cfg(not(target_arch = "wasm32"))]
mod tensorboard;
mod trace;
pub mod view;

pub use error::ReportError;
#[cfg(all(feature = "html", not(target_arch = "wasm32")))]
pub use page::compare;
pub use panels::{Panel, PanelKind, Panels};
pub use run::{Curve, End, Run};
#[cfg(not(target_arch = "wasm32"))]
pub use tensorboard::TensorBoard;
pub use trace::Kernel;
#[cfg(not(target_arch = "wasm32"))]
pub use view::Progress;
pub use view::View;
