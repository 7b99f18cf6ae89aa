//! Curves as comma-separated values (RFC 4180), for spreadsheets and data frames. Must not round.

use crate::run::Run;

impl Run {
    /// Every value of every curve, a line each: `event,step,name,value`. What is not finite is `NaN`, `inf` or `-inf`.
    ///
    /// ```
    /// use wgrad_report::{Curve, Run};
    /// let curve = Curve { name: "loss, nats".into(), xs: vec![1.0], ys: vec![0.5], by_epoch: false };
    /// let run = Run { curves: vec![curve], ..Run::default() };
    /// assert_eq!(run.to_csv(), "event,step,name,value\r\nstep,1,\"loss, nats\",0.5\r\n");
    /// ```
    pub fn to_csv(&self) -> String {
        let mut out = String::from("event,step,name,value\r\n");
        for curve in &self.curves {
            let event = if curve.by_epoch { "epoch" } else { "step" };
            let name = quoted(&curve.name);
            for (x, y) in curve.xs.iter().zip(&curve.ys) {
                out.push_str(&format!("{event},{x},{name},{y}\r\n"));
            }
        }
        out
    }
}

fn quoted(text: &str) -> String {
    match text.contains([',', '"', '\r', '\n']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_owned(),
    }
}
