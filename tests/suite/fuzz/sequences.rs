//! Layers for sequences and graphs, and losses of `nn`, of random sizes on random tensors.

use super::calls;
use wgrad::nn::{
    AdaptiveLogSoftmax, Aggregate, AttentionMasks, CosineSimilarity, GatConv, GatOptions, GcnConv,
    Gru, GruCell, KvCache, LearnedPositions, Lstm, LstmCell, MultiheadAttention,
    MultiheadAttentionOptions, PairwiseDistance, RnnCell, RotaryEmbedding, SinusoidalPositions,
    TransformerDecoderLayer, TransformerEncoderLayer, TransformerOptions, loss, propagate,
};
use wgrad::{Generator, Reduction};

calls! {
    "recurrent layers with lengths" => |f| {
        let (mut rng, d, mut cx) = (Generator::new(1), f.device(), super::layers::context(f));
        let options = super::layers::recurrent(f).peepholes(f.b()).coupled_gates(f.b());
        let lengths: Vec<usize> = f.sizes();
        let (y, h) = Gru::new(f.n(), f.n(), &options, &mut rng, &d).forward_lengths(&f.t(), &lengths, f.maybe().as_ref(), &mut cx);
        let (z, (_, c)) = Lstm::new(f.n(), f.n(), &options, &mut rng, &d).forward_lengths(&f.t(), &f.t(), None, &mut cx);
        [y, h, z, c]
    };
    "recurrent cells" => |f| {
        let (mut rng, d) = (Generator::new(1), f.device());
        let h = RnnCell::new(f.n(), f.n(), f.b(), &mut rng, &d).forward(&f.t(), f.maybe().as_ref());
        let (k, c) = LstmCell::new(f.n(), f.n(), &super::layers::recurrent(f), &mut rng, &d).forward(&f.t(), None);
        [h, k, c, GruCell::new(f.n(), f.n(), f.b(), &mut rng, &d).forward(&f.t(), f.maybe().as_ref())]
    };
    "attention layer" => |f| {
        let (mut rng, d, mut cx) = (Generator::new(1), f.device(), super::layers::context(f));
        let options = MultiheadAttentionOptions {
            dropout: f.x(),
            bias: f.b(),
            batch_first: f.b(),
            num_kv_heads: if f.b() { Some(f.n()) } else { None },
            ..MultiheadAttentionOptions::default()
        };
        let masks = AttentionMasks { key_padding_mask: f.maybe(), attn_mask: f.maybe(), is_causal: f.b() };
        let layer = MultiheadAttention::new(f.n(), f.n(), &options, &mut rng, &d);
        let (q, k) = (f.t(), f.t());
        let (y, w) = layer.forward_with_weights(&q, &k, &k, &masks, &mut cx);
        [y, w, layer.forward_cached(&q, &mut KvCache::new(f.n()), &mut cx)]
    };
    "transformer layer" => |f| {
        let (mut rng, d, mut cx) = (Generator::new(1), f.device(), super::layers::context(f));
        let options = TransformerOptions::default().dim_feedforward(f.n()).dropout(f.x()).norm_first(f.b()).batch_first(f.b());
        let (x, memory) = (f.t(), f.t());
        let (n, heads) = (f.n(), f.n());
        let masks = AttentionMasks { is_causal: f.b(), ..AttentionMasks::default() };
        let encoder = TransformerEncoderLayer::new(n, heads, &options, &mut rng, &d);
        let decoder = TransformerDecoderLayer::new(n, heads, &options, &mut rng, &d);
        [encoder.forward(&x, &masks, &mut cx), decoder.forward(&x, &memory, &masks, &masks, &mut cx)]
    };
    "many classes and distances" => |f| {
        let (mut rng, d) = (Generator::new(1), f.device());
        let layer = AdaptiveLogSoftmax::new(f.n(), f.n(), &f.sizes(), f.x(), &mut rng, &d);
        let (of_target, loss) = layer.forward(&f.t(), &f.t());
        let small = AdaptiveLogSoftmax::new(4, 9, &[2, 5], 2.0, &mut rng, &d);
        let near = CosineSimilarity { dim: f.dim(), eps: f.x() }.forward(&f.t(), &f.t());
        let far = PairwiseDistance { p: f.x(), eps: f.x(), keepdim: f.b() }.forward(&f.t(), &f.t());
        [of_target, loss, small.log_prob(&f.t()), near, far]
    };
    "positions" => |f| {
        let (mut rng, d) = (Generator::new(1), f.device());
        [LearnedPositions::new(f.n(), f.n(), &mut rng, &d).forward(&f.t()), SinusoidalPositions.forward(&f.t()), RotaryEmbedding::default().interleaved(f.b()).turn(&f.t(), None)]
    };
    "graph layers" => |f| {
        let (mut rng, d, mut cx) = (Generator::new(1), f.device(), super::layers::context(f));
        let (x, edges) = (f.t(), f.t());
        let options = GatOptions { heads: f.n(), concat: f.b(), ..GatOptions::default() };
        let aggregate = f.one_of(&[Aggregate::Sum, Aggregate::Mean, Aggregate::Max]);
        [
            GcnConv::new(f.n(), f.n(), &mut rng, &d).forward(&x, &edges, f.maybe().as_ref()),
            GatConv::new(f.n(), f.n(), &options, &mut rng, &d).forward(&x, &edges, &mut cx),
            propagate(&x, &edges, aggregate, |a, b| a + b),
        ]
    };
    "losses of nn" => |f| {
        let (x, y) = (f.t(), f.t());
        let lengths = [f.sizes(), f.sizes()];
        [
            loss::ctc(&x, &y, &lengths[0], &lengths[1], &loss::CtcOptions { blank: f.n(), ..loss::CtcOptions::default() }),
            loss::focal(&x, &y, f.one_of(&[0.0, 0.5, 1.0, 1.5, 2.0, 3.7, -1.0, f64::NAN]), Reduction::Mean),
            loss::sigmoid_focal(&x, &y, 0.25, f.one_of(&[0.0, 0.5, 1.0, 1.5, 2.0, 3.7, -1.0, f64::NAN]), Reduction::Sum),
            loss::dice(&x, &y, f.x()),
            loss::contrastive(&x, &f.t(), &y, f.x(), Reduction::None),
            loss::info_nce(&x, &y, f.x()),
            loss::distillation(&x, &f.t(), &y, f.x(), f.x()),
            loss::smooth_labels(&y, f.n(), f.x(), loss::Smoothing::Others),
            loss::kl_sparsity(&x, f.x()),
            loss::sparsity(&x, f.x()),
        ]
    };
}
