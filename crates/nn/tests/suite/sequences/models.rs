//! Ready models and what is generated with them, against the package that publishes them.

use super::{cases, check, devices, fill, fill_with, values};
use crate::close;
use wgrad_graph::{Device, Generator, Reduction, Tensor};
use wgrad_nn::models::{Bert, BertConfig, Gpt2, Gpt2Config};
use wgrad_nn::models::{VisionTransformer, VisionTransformerConfig};
use wgrad_nn::{
    Adam, Cache, Context, GenerateOptions, LanguageModel, Module, Optimizer, compile, generate,
    gradients,
};

fn tokens(d: &Device) -> Tensor {
    let all: Vec<i32> = (0..12).map(|i| (i / 6 * 7 + i % 6 * 3) % 17).collect();
    Tensor::from_slice(&all, &[2, 6], d)
}

fn gpt2(d: &Device) -> Gpt2 {
    let config = Gpt2Config {
        vocab_size: 17,
        n_positions: 16,
        n_embd: 8,
        n_layer: 2,
        n_head: 2,
        ..Gpt2Config::default()
    };
    Gpt2::new(&config, &mut Generator::new(0), d)
}

#[test]
fn models_equal_those_published() {
    for d in devices() {
        let (cx, rng) = (&mut Context::eval(), &mut Generator::new(0));
        let mut model = gpt2(&d);
        fill(&mut model, &d);
        check("gpt2", &model, &[], &[&model.forward(&tokens(&d), cx)]);

        let config = BertConfig {
            vocab_size: 17,
            hidden_size: 8,
            num_hidden_layers: 2,
            num_attention_heads: 2,
            intermediate_size: 12,
            max_position_embeddings: 9,
            ..BertConfig::default()
        };
        let mut model = Bert::new(&config, rng, &d);
        fill(&mut model, &d);
        let kinds = Tensor::from_slice(&[0, 0, 0, 1, 1, 1, 0, 1, 1, 1, 1, 1], &[2, 6], &d);
        let seen = Tensor::from_slice(&[1, 1, 1, 1, 0, 0, 1, 1, 1, 1, 1, 1], &[2, 6], &d);
        let y = model.forward(&tokens(&d), Some(&kinds), Some(&seen), cx);
        check(
            "bert",
            &model,
            &[],
            &[&y.last_hidden_state, &y.pooler_output],
        );

        let config = VisionTransformerConfig {
            image_size: 8,
            patch_size: 4,
            num_layers: 2,
            num_heads: 2,
            hidden_dim: 8,
            mlp_dim: 12,
            num_classes: 7,
            ..VisionTransformerConfig::default()
        };
        let mut model = VisionTransformer::new(&config, rng, &d);
        fill(&mut model, &d);
        let x = super::lattice(500, &[2, 3, 8, 8], &d);
        check("vit", &model, &[("x", &x)], &[&model.forward(&x, cx)]);
    }
}

const PROMPTS: [[i32; 3]; 2] = [[0, 3, 6], [7, 10, 13]];

#[test]
fn texts_equal_those_of_hugging_face() {
    let beams = |n: usize, end: i32| {
        GenerateOptions::new(10)
            .num_beams(n)
            .eos_token_id(Some(end))
    };
    let forms = [
        ("greedy", GenerateOptions::new(10)),
        ("beams", GenerateOptions::new(10).num_beams(3)),
        ("beams_9", beams(4, 9)),
        ("beams_10", beams(4, 10)),
        ("beams_short", beams(4, 9).length_penalty(0.2)),
        ("beams_long", beams(4, 10).length_penalty(3.0)),
        ("beams_early", beams(4, 9).early_stopping(true)),
    ];
    for d in devices() {
        let mut model = gpt2(&d);
        fill_with(&mut model, 1.0, &d);
        let prompts = PROMPTS.map(Vec::from);
        let rng = &mut Generator::new(0);
        for (name, options) in &forms {
            for cached in [true, false] {
                let options = options.clone().use_cache(cached);
                let mut got = generate(&model, &prompts, &options, rng).unwrap();
                let want = &cases()[&format!("generate_{name}")].tokens;
                // The other pads with 16.
                got.iter_mut()
                    .for_each(|row| row.resize(want[0].len().max(row.len()), 16));
                assert_eq!(&got, want, "{name} on {d}, cached: {cached}");
            }
        }
    }
}

#[derive(Module)]
#[module(crate = wgrad_nn)]
struct Training {
    model: Gpt2,
    adam: Adam,
    cx: Context,
}

#[test]
fn a_compiled_step_trains_as_a_plain_one() {
    let d = Device::cpu();
    let new = || Training {
        model: gpt2(&d),
        adam: Adam::new(1e-2),
        cx: Context::train(3),
    };
    let train = |s: &mut Training, inputs: &[Tensor]| {
        let scores = s.model.forward(&inputs[0], &mut s.cx).flatten(0, 1);
        let loss =
            scores.cross_entropy(&inputs[0].roll(&[-1], &[1]).flatten(0, 1), Reduction::Mean);
        let g = gradients(&loss, &s.model)?;
        s.adam.step(&mut s.model, &g)?;
        s.cx.next_step();
        Ok(loss)
    };
    let (mut plain, mut compiled, mut step) = (new(), new(), compile(train));
    let mut losses = Vec::new();
    for _ in 0..30 {
        let want = values(&train(&mut plain, &[tokens(&d)]).unwrap())[0];
        let got = values(&step.call(&mut compiled, &[&tokens(&d)]).unwrap())[0];
        close(&[got], &[want], 1e-5);
        losses.push(got);
    }
    assert_eq!(step.traces(), 1);
    assert!(losses[29] < 0.7 * losses[0], "{losses:?}");
}

#[test]
fn cached_scores_equal_uncached_ones() {
    for d in devices() {
        let mut model = gpt2(&d);
        fill_with(&mut model, 1.0, &d);
        let (cx, all) = (&mut Context::eval(), tokens(&d));
        let want = values(&model.forward(&all, cx));
        for pieces in [vec![1; 6], vec![4, 2], vec![6], vec![2, 3, 1]] {
            let (mut cache, mut at, mut got) = (Cache::new(2, 7), 0, Vec::new());
            for n in pieces {
                let part = all.narrow(1, at, n);
                got.push(model.logits(&part, Some(&mut cache), cx));
                at += n;
            }
            let got = Tensor::cat(&got.iter().collect::<Vec<_>>(), 1);
            close(&values(&got), &want, 1e-5);
        }
    }
}

#[test]
fn draws_follow_the_probabilities() {
    let d = Device::cpu();
    let mut model = gpt2(&d);
    fill_with(&mut model, 1.0, &d);
    let options = GenerateOptions::new(1)
        .sample(true)
        .temperature(1.5)
        .top_k(4);
    let prompts = vec![vec![0, 3, 6]; 4000];
    let text = generate(&model, &prompts, &options, &mut Generator::new(1)).unwrap();
    let scores = model.forward(
        &Tensor::from_slice(&[0, 3, 6], &[1, 3], &d),
        &mut Context::eval(),
    );
    let scores = values(&scores.select(1, -1));
    let mut order: Vec<usize> = (0..17).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    let weight = |t: usize| (scores[t] / 1.5).exp();
    let total: f64 = order[..4].iter().map(|&t| weight(t)).sum();
    for (rank, &t) in order.iter().enumerate() {
        let share = text.iter().filter(|row| row[3] == t as i32).count() as f64 / 4000.0;
        let want = if rank < 4 { weight(t) / total } else { 0.0 };
        assert!(
            (share - want).abs() < 0.03,
            "token {t}: {share}, not {want}"
        );
    }
    // The same seed draws the same, cached or not.
    let options = options.top_p(0.8);
    let long = GenerateOptions {
        max_new_tokens: 12,
        ..options
    };
    let run = |cached| {
        let options = long.clone().use_cache(cached);
        generate(&model, &[vec![1]], &options, &mut Generator::new(7)).unwrap()
    };
    assert_eq!(run(true), run(false));
}

#[test]
fn texts_longer_than_the_context_go_on() {
    let d = Device::cpu();
    let mut model = gpt2(&d);
    fill_with(&mut model, 1.0, &d);
    let rng = &mut Generator::new(0);
    let text = &generate(&model, &[vec![1, 2]], &GenerateOptions::new(20), rng).unwrap()[0];
    assert_eq!(text.len(), 22);
    // The last token follows from the sixteen before it.
    let seen = Tensor::from_slice(&text[5..21], &[1, 16], &d);
    let scores = values(&model.forward(&seen, &mut Context::eval()).select(1, -1));
    let best = (0..17).max_by(|&a, &b| scores[a].total_cmp(&scores[b]));
    assert_eq!(best, Some(text[21] as usize));
}

#[test]
fn prompts_of_several_lengths_go_on_as_alone() {
    for d in devices() {
        let mut model = gpt2(&d);
        fill_with(&mut model, 1.0, &d);
        let prompts = [vec![0, 3, 6], vec![7], vec![7, 10, 13], vec![5, 2]];
        let rng = &mut Generator::new(0);
        let greedy = GenerateOptions::new(6).eos_token_id(Some(9));
        for options in [greedy.clone(), greedy.num_beams(3)] {
            let together = generate(&model, &prompts, &options, rng).unwrap();
            for (prompt, text) in prompts.iter().zip(&together) {
                let alone = generate(&model, std::slice::from_ref(prompt), &options, rng).unwrap();
                assert_eq!((&alone[0], &text[..prompt.len()]), (text, &prompt[..]));
            }
        }
    }
}

#[test]
fn what_cannot_be_generated_is_an_error() {
    let model = gpt2(&Device::cpu());
    let rng = &mut Generator::new(0);
    let mut refused = |prompts: &[Vec<i32>], options: GenerateOptions, part: &str| {
        let e = generate(&model, prompts, &options, rng)
            .unwrap_err()
            .to_string();
        assert!(e.contains(part), "{e}");
    };
    let new = || GenerateOptions::new(2);
    refused(&[], new(), "no prompt");
    refused(&[vec![]], new(), "prompt 0 is empty");
    refused(&[vec![17]], new(), "token 17 of prompt 0");
    refused(&[vec![-1]], new(), "token -1 of prompt 0");
    refused(
        &[vec![1]],
        new().temperature(0.0),
        "temperature 0 is not positive",
    );
    refused(&[vec![1]], new().top_p(1.5), "top_p 1.5");
    refused(&[vec![1]], new().num_beams(0), "num_beams is 0");
    let most = new().num_beams(usize::MAX);
    refused(&[vec![1]], most, "not within 1..=4096");
    refused(
        &[vec![1]],
        new().num_beams(2).sample(true),
        "exclude each other",
    );
    let long = Tensor::from_slice(&[1i32; 17], &[1, 17], &Device::cpu());
    let cx = &mut Context::eval();
    let e = model.forward(&long, cx).check().map(|_| ()).unwrap_err();
    assert!(e.to_string().contains("more than 16 positions"), "{e}");
    let wild = Tensor::from_slice(&[40i32], &[1, 1], &Device::cpu());
    assert!(model.forward(&wild, cx).to_vec::<f32>().is_err());
    let cache = &mut Cache::new(1, 4);
    let one = Tensor::from_slice(&[1i32], &[1, 1], &Device::cpu());
    assert!(model.logits(&one, Some(cache), cx).check().is_err());
}
