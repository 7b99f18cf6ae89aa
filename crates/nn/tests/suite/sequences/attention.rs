//! Attention layers, transformer blocks, their caches and masks.

use super::{check, devices, fill, lattice, values};
use crate::close;
use wgrad_graph::{Device, Generator, Tensor};
use wgrad_nn::{
    AttentionMasks, Context, FeedForwardActivation, KvCache, MultiheadAttention,
    MultiheadAttentionOptions, RotaryEmbedding, Transformer, TransformerDecoderLayer,
    TransformerEncoder, TransformerEncoderLayer, TransformerOptions,
};

fn attention(options: &MultiheadAttentionOptions, heads: usize, d: &Device) -> MultiheadAttention {
    let mut layer = MultiheadAttention::new(8, heads, options, &mut Generator::new(0), d);
    fill(&mut layer, d);
    layer
}

fn truth(bits: &[i32], shape: &[usize], d: &Device) -> Tensor {
    Tensor::from_slice(bits, shape, d).ne_scalar(0.0)
}

const PADDING: [i32; 12] = [0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0];

#[test]
fn attention_equals_pytorchs() {
    let options = MultiheadAttentionOptions::default().batch_first(true);
    for d in devices() {
        let cx = &mut Context::eval();
        let q = lattice(500, &[2, 5, 8], &d);
        let (k, v) = (lattice(501, &[2, 6, 8], &d), lattice(502, &[2, 6, 8], &d));
        let inputs = [("q", &q), ("k", &k), ("v", &v)];
        let layer = attention(&options, 2, &d);
        let none = AttentionMasks::none();
        let y = layer.forward(&q, &k, &v, &none, cx);
        check("attention", &layer, &inputs, &[&y]);

        let padding = truth(&PADDING, &[2, 6], &d);
        let masks = AttentionMasks::none().key_padding_mask(&padding);
        let both = masks.clone().attn_mask(&lattice(510, &[5, 6], &d));
        let y = layer.forward(&q, &k, &v, &both, cx);
        check("attention_padding_added", &layer, &inputs, &[&y]);

        let column = Tensor::arange(6, &d).reshape(&[1, 1, 6]).ne_scalar(0.0);
        let heads = lattice(511, &[4, 5, 6], &d).gt_scalar(0.6);
        let heads = masks.clone().attn_mask(&heads.logical_and(&column));
        let y = layer.forward(&q, &k, &v, &heads, cx);
        check("attention_padding_heads", &layer, &inputs, &[&y]);

        let plain = attention(&options.clone().bias(false), 2, &d);
        let (y, w) = plain.forward_with_weights(&q, &k, &v, &masks, cx);
        check("attention_weights", &plain, &inputs, &[&y, &w]);

        let y = layer.forward(&q, &q, &q, &AttentionMasks::causal(), cx);
        check("attention_causal", &layer, &inputs[..1], &[&y]);
        let turned = attention(&MultiheadAttentionOptions::default(), 2, &d);
        let time = lattice(500, &[5, 2, 8], &d);
        let y = turned.forward(&time, &time, &time, &AttentionMasks::causal(), cx);
        check("attention_time_first", &turned, &[("q", &time)], &[&y]);
        let alone = lattice(500, &[5, 8], &d);
        let y = turned.forward(&alone, &alone, &alone, &none, cx);
        check("attention_unbatched", &turned, &[("q", &alone)], &[&y]);

        let dims = attention(&options.clone().kdim(4).vdim(6), 2, &d);
        let (k, v) = (lattice(501, &[2, 6, 4], &d), lattice(502, &[2, 6, 6], &d));
        let y = dims.forward(&q, &k, &v, &none, cx);
        let inputs = [("q", &q), ("k", &k), ("v", &v)];
        check("attention_dims", &dims, &inputs, &[&y]);
    }
}

#[test]
fn shared_heads_and_rotary_positions_equal_pytorchs() {
    let options = MultiheadAttentionOptions::default()
        .batch_first(true)
        .num_kv_heads(2);
    let rotary = RotaryEmbedding::default();
    for d in devices() {
        let x = lattice(500, &[2, 5, 8], &d);
        for (name, options) in [
            ("attention_grouped", options.clone()),
            ("attention_rotary", options.clone().rotary(rotary.clone())),
            (
                "attention_rotary_pairs",
                options.clone().rotary(rotary.clone().interleaved(true)),
            ),
        ] {
            let layer = attention(&options, 4, &d);
            let cx = &mut Context::eval();
            let y = layer.forward(&x, &x, &x, &AttentionMasks::causal(), cx);
            check(name, &layer, &[("x", &x)], &[&y]);
            let (same, _) = layer.forward_with_weights(&x, &x, &x, &AttentionMasks::causal(), cx);
            close(&values(&same), &values(&y), 1e-5);
            // In pieces, with a cache.
            let (mut cache, mut parts, mut at) = (KvCache::new(6), Vec::new(), 0);
            for n in [2, 1, 2] {
                parts.push(layer.forward_cached(&x.narrow(1, at, n), &mut cache, cx));
                at += n;
            }
            let parts = Tensor::cat(&parts.iter().collect::<Vec<_>>(), 1);
            close(&values(&parts), &values(&y), 1e-5);
        }
    }
}

#[test]
fn transformer_blocks_equal_pytorchs() {
    let base = TransformerOptions::default()
        .dim_feedforward(12)
        .dropout(0.0);
    let forms = [
        ("post", base.clone()),
        (
            "pre",
            base.clone()
                .norm_first(true)
                .activation(FeedForwardActivation::Gelu),
        ),
        ("no_bias", base.clone().bias(false).layer_norm_eps(1e-3)),
    ];
    for d in devices() {
        let (cx, rng) = (&mut Context::eval(), &mut Generator::new(0));
        let x = lattice(500, &[2, 5, 8], &d);
        let memory = lattice(501, &[2, 5, 8], &d);
        let padding = truth(&[0, 0, 0, 1, 1, 0, 0, 0, 0, 0], &[2, 5], &d);
        let padding = AttentionMasks::none().key_padding_mask(&padding);
        for (name, options) in &forms {
            let options = options.clone().batch_first(true);
            let mut layer = TransformerEncoderLayer::new(8, 2, &options, rng, &d);
            fill(&mut layer, &d);
            let y = layer.forward(&x, &padding, cx);
            check(&format!("encoder_{name}"), &layer, &[("x", &x)], &[&y]);
            let mut layer = TransformerDecoderLayer::new(8, 2, &options, rng, &d);
            fill(&mut layer, &d);
            let y = layer.forward(&x, &memory, &AttentionMasks::causal(), &padding, cx);
            let inputs = [("x", &x), ("memory", &memory)];
            check(&format!("decoder_{name}"), &layer, &inputs, &[&y]);
        }
        let options = base.clone().norm_first(true);
        let mut whole = Transformer::new(8, 2, [2, 2], &options, rng, &d);
        fill(&mut whole, &d);
        let (source, target) = (lattice(500, &[6, 2, 8], &d), lattice(501, &[5, 2, 8], &d));
        let (all, causal) = (AttentionMasks::none(), AttentionMasks::causal());
        let y = whole.forward(&source, &target, [&all, &causal, &all], cx);
        let inputs = [("source", &source), ("target", &target)];
        check("transformer", &whole, &inputs, &[&y]);
    }
}

#[test]
fn a_causal_encoder_goes_on_from_its_cache() {
    let d = Device::cpu();
    let options = TransformerOptions::default()
        .dim_feedforward(12)
        .norm_first(true)
        .batch_first(true);
    let rng = &mut Generator::new(3);
    let encoder = TransformerEncoder::new(8, 2, 2, &options, rng, &d).with_norm(&options, &d);
    let (x, cx) = (lattice(1, &[2, 6, 8], &d), &mut Context::eval());
    let want = encoder.forward(&x, &AttentionMasks::causal(), cx);
    let mut caches = vec![KvCache::new(9); 2];
    for at in 0..6 {
        let mut y = x.narrow(1, at, 1);
        for (layer, cache) in encoder.layers.iter().zip(&mut caches) {
            y = layer.forward_cached(&y, cache, cx);
        }
        let y = encoder.norm.as_ref().unwrap().forward(&y);
        close(&values(&y), &values(&want.narrow(1, at, 1)), 1e-5);
    }
}

#[test]
fn rows_that_see_nothing_are_zero_and_have_gradients() {
    let d = Device::cpu();
    let layer = attention(&MultiheadAttentionOptions::default().bias(false), 2, &d);
    let (x, cx) = (lattice(1, &[3, 1, 8], &d), &mut Context::eval());
    let masks = AttentionMasks::none().key_padding_mask(&truth(&[1, 1, 1], &[1, 3], &d));
    let (y, _) = layer.forward_with_weights(&x, &x, &x, &masks, cx);
    assert_eq!(values(&y), [0.0; 24]);
    let g = wgrad_graph::grad(&y.sum(), &[&x]).unwrap();
    assert_eq!(values(&g[0]), [0.0; 24]);
    close(
        &values(&layer.forward(&x, &x, &x, &masks, cx)),
        &[0.0; 24],
        0.0,
    );
}

#[test]
fn dropout_drops_weights_in_training_only() {
    let d = Device::cpu();
    let options = MultiheadAttentionOptions::default().dropout(0.5);
    let layer = attention(&options, 2, &d);
    let x = lattice(1, &[64, 1, 8], &d);
    let run =
        |cx: &mut Context| layer.forward_with_weights(&x, &x, &x, &AttentionMasks::none(), cx);
    let (_, still) = run(&mut Context::eval());
    let (_, dropped) = run(&mut Context::train(1));
    let sums = |t: &Tensor| values(&t.sum_dims(&[-1], false)).iter().sum::<f64>() / 64.0;
    assert!((sums(&still) - 1.0).abs() < 1e-5);
    assert!((sums(&dropped) - 1.0).abs() < 0.1);
    let zeros = values(&dropped).iter().filter(|v| **v == 0.0).count();
    assert!((700..1400).contains(&zeros), "{zeros}"); // both heads: a quarter of 4096
    let train = layer.forward(&x, &x, &x, &AttentionMasks::none(), &mut Context::train(1));
    let (same, _) = run(&mut Context::train(1));
    close(&values(&train), &values(&same), 1e-6);
}

#[test]
fn what_does_not_fit_is_an_error() {
    let d = Device::cpu();
    let cx = &mut Context::eval();
    let options = MultiheadAttentionOptions::default().batch_first(true);
    let x = lattice(1, &[2, 5, 8], &d);
    let none = AttentionMasks::none();
    let error = |y: Tensor| y.check().map(|_| ()).unwrap_err().to_string();
    let heads = attention(&options, 3, &d);
    assert!(error(heads.forward(&x, &x, &x, &none, cx)).contains("3 heads do not divide 8"));
    let zero = attention(&options, 0, &d);
    assert!(zero.forward(&x, &x, &x, &none, cx).check().is_err());
    let shared = attention(&options.clone().num_kv_heads(3), 4, &d);
    assert!(error(shared.forward(&x, &x, &x, &none, cx)).contains("3 heads of keys"));
    let layer = attention(&options, 2, &d);
    for bad in [
        AttentionMasks::none().attn_mask(&lattice(1, &[5, 4], &d)),
        AttentionMasks::none().attn_mask(&lattice(1, &[2, 5, 5], &d)),
        AttentionMasks::none().attn_mask(&Tensor::arange(25, &d).reshape(&[5, 5])),
        AttentionMasks::none().key_padding_mask(&lattice(1, &[5], &d)),
        AttentionMasks::none().key_padding_mask(&lattice(1, &[5, 2], &d)),
    ] {
        assert!(error(layer.forward(&x, &x, &x, &bad, cx)).contains("mask"));
    }
    let other = lattice(1, &[3, 5, 8], &d);
    for (k, v) in [(&other, &other), (&x, &other)] {
        assert!(layer.forward(&x, k, v, &none, cx).check().is_err());
    }
    for shape in [&[8][..], &[2, 5, 7], &[1, 2, 5, 8]] {
        let x = lattice(1, shape, &d);
        assert!(
            layer.forward(&x, &x, &x, &none, cx).check().is_err(),
            "{shape:?}"
        );
    }
}
