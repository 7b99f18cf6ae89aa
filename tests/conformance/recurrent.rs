//! Recurrent layers, their parameters replaced by the case's.

use crate::case::Case;
use wgrad::nn::{Context, Gru, Lstm, Nonlinearity, RecurrentOptions, Rnn};
use wgrad::{Generator, Module, Tensor};

/// The outputs of a case of this group.
pub fn run(case: &Case) -> Option<Result<Vec<Tensor>, String>> {
    match case.op.as_str() {
        "rnn" | "rnn_tanh" | "rnn_relu" => Some(rnn(case)),
        "lstm" => Some(lstm(case)),
        "gru" => Some(gru(case)),
        _ => None,
    }
}

fn size(case: &Case, name: &str) -> Result<usize, String> {
    case.int(name)
        .and_then(|v| usize::try_from(v).ok())
        .ok_or_else(|| format!("{} lacks {name}", case.id))
}

fn options(case: &Case) -> RecurrentOptions {
    let flag = |name: &str, default: bool| case.bool(name).unwrap_or(default);
    RecurrentOptions::default()
        .num_layers(size(case, "num_layers").unwrap_or(1))
        .bias(
            flag("bias", true)
                && case.optional("weight_ih_l0").is_some() == case.optional("bias_ih_l0").is_some(),
        )
        .batch_first(flag("batch_first", false))
        .bidirectional(flag("bidirectional", false))
        .proj_size(size(case, "proj_size").unwrap_or(0))
}

/// Gives a layer the case's parameters.
fn fill(layer: &mut dyn Module, case: &Case) -> Result<(), String> {
    let mut missing = Vec::new();
    layer.visit_mut("", &mut |name, _, tensor| match case.optional(name) {
        Some(t) if t.shape() == tensor.shape() => *tensor = t.clone(),
        Some(t) => missing.push(format!(
            "{name} is {:?}, not {:?}",
            t.shape(),
            tensor.shape()
        )),
        None => missing.push(format!("no {name}")),
    });
    if missing.is_empty() {
        Ok(())
    } else {
        Err(missing.join(", "))
    }
}

fn rnn(case: &Case) -> Result<Vec<Tensor>, String> {
    let [input, hidden] = [size(case, "input_size")?, size(case, "hidden_size")?];
    let relu = case.text("nonlinearity") == Some("relu") || case.op == "rnn_relu";
    let kind = if relu {
        Nonlinearity::Relu
    } else {
        Nonlinearity::Tanh
    };
    let mut layer = Rnn::new(
        input,
        hidden,
        &options(case),
        &mut Generator::new(0),
        &case.device,
    )
    .nonlinearity(kind);
    fill(&mut layer, case)?;
    let (output, h) = layer.forward(case.input("x")?, case.optional("h0"), &mut Context::eval());
    Ok(vec![output, h])
}

fn lstm(case: &Case) -> Result<Vec<Tensor>, String> {
    let [input, hidden] = [size(case, "input_size")?, size(case, "hidden_size")?];
    let mut layer = Lstm::new(
        input,
        hidden,
        &options(case),
        &mut Generator::new(0),
        &case.device,
    );
    fill(&mut layer, case)?;
    let state = case.optional("h0").zip(case.optional("c0"));
    let (output, (h, c)) = layer.forward(case.input("x")?, state, &mut Context::eval());
    Ok(vec![output, h, c])
}

fn gru(case: &Case) -> Result<Vec<Tensor>, String> {
    let [input, hidden] = [size(case, "input_size")?, size(case, "hidden_size")?];
    let mut layer = Gru::new(
        input,
        hidden,
        &options(case),
        &mut Generator::new(0),
        &case.device,
    );
    fill(&mut layer, case)?;
    let (output, h) = layer.forward(case.input("x")?, case.optional("h0"), &mut Context::eval());
    Ok(vec![output, h])
}
