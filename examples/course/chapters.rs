//! The chapters in the order of the course. A lesson is a line here and a file.

use crate::lesson::{Lesson, Result};

/// A chapter.
pub struct Chapter {
    pub name: &'static str,
    pub title: &'static str,
    pub lessons: &'static [Entry],
}

/// A lesson.
pub struct Entry {
    pub name: &'static str,
    pub title: &'static str,
    /// Of the full run, on two cores.
    pub seconds: u32,
    pub source: &'static str,
    pub run: fn(&mut Lesson) -> Result,
}

macro_rules! chapters {
    ($($chapter:ident, $title:literal: { $($lesson:ident, $seconds:literal, $what:literal;)* })*) => {
        /// Every chapter.
        pub const CHAPTERS: &[Chapter] = &[$(Chapter {
            name: stringify!($chapter),
            title: $title,
            lessons: &[$(Entry {
                name: stringify!($lesson),
                title: $what,
                seconds: $seconds,
                source: include_str!(concat!(stringify!($chapter), "/", stringify!($lesson), ".rs")),
                run: crate::$chapter::$lesson::run,
            }),*],
        }),*];
    };
}

chapters! {
    tensors, "Tensors and linear algebra": {
        arrays, 1, "Tensors: making, looking, combining";
        norms, 1, "Norms and angles";
        linear_system, 1, "Three planes meet in a point";
        eigenvectors, 1, "What a matrix only stretches";
    }
    probability, "Probability": {
        bayes, 1, "A positive test for a rare disease";
        coins, 1, "Frequencies converge";
        covariance, 1, "Uncorrelated, and yet dependent";
        likelihood, 1, "A Gaussian by maximum likelihood";
    }
    calculus, "Calculus": {
        limit, 1, "A derivative as a limit, and where f32 breaks it";
        chain_rule, 1, "Back-propagation by hand and by grad";
        accumulation, 1, "Forward and backward accumulation";
        symbols, 1, "A derivative is a graph, too";
    }
    linear_regression, "Linear regression": {
        vectorised, 1, "A loop, and one operation";
        normal, 1, "The normal density and the squared loss";
        scratch, 2, "Linear regression from scratch";
        concise, 2, "The same with layers";
        closed_form, 1, "The same in closed form";
        temperature, 1, "A line through a year of temperatures";
        houses, 2, "Prices of houses by area and age";
    }
    advertising, "Advertising": {
        least_squares, 1, "What sells: television, radio, newspapers";
        interaction, 1, "Synergy is a product";
        selection, 1, "Which terms belong in a model";
    }
    capacity, "Capacity": {
        polynomials, 2, "Underfitting and overfitting";
        splines, 1, "Pieces of cubics";
        bias_variance, 1, "Bias and variance";
        validation, 2, "Folds, and leaving one out";
    }
    losses, "Losses": {
        saturation, 1, "Why cross-entropy and not squared error";
    }
    classification, "Classification": {
        rain, 2, "Rain from two temperatures";
        outliers, 2, "Linear against logistic";
        features, 2, "A boundary that is no line";
        tables, 4, "Iris, wine, breast cancer";
        default_cards, 1, "Who defaults on a credit card";
        mnist, 10, "Softmax regression on MNIST";
        one_against_rest, 6, "One against the rest: confusion, ROC, AUC";
    }
    gradient_descent, "Gradient descent": {
        surfaces, 1, "Minima, saddles, cliffs";
        rates, 1, "Learning rates too low and too high";
        batches, 3, "Batch, minibatch, single examples";
    }
    feed_forward, "Feed-forward networks": {
        perceptron, 1, "The perceptron's rule";
        xor, 2, "XOR: impossible for a line, easy for two";
        folding, 1, "Absolute values fold space";
        depth, 15, "Depth against width";
        units, 60, "Every hidden unit, compared";
        cosine, 200, "Cosine units on MNIST";
    }
    optimisation, "Optimisation": {
        optimisers, 25, "Eight optimisers on one model";
        decay, 2, "A rate that falls";
        initialisation, 6, "Initial weights by depth";
        batch_norm, 10, "Batch normalisation and a deep chain";
        pretraining, 15, "Layer by layer before labels";
        transfer, 15, "From 0 to 4 to 5 to 9";
        distillation, 15, "A student that never saw a 3";
        hints, 6, "A thin deep student, by a hint";
    }
    regularisation, "Regularisation": {
        paths, 2, "L2 shrinks, L1 selects";
        few_examples, 60, "With and without, on 500 digits";
        early_stopping, 20, "Early stopping, and its second runs";
        multi_task, 2, "Tasks that share what they need";
        semi_supervised, 40, "Images without labels";
        bagging, 3, "Errors that differ cancel";
        dropout, 2, "Dropout as an ensemble";
        adversarial, 20, "Adversarial examples, and training on them";
    }
    convolution, "Convolution": {
        matrix_product, 1, "A convolution is a matrix product";
        properties, 1, "Stride, padding, equivariance, invariance";
        filters, 2, "Blur, edges and sharpening of a photograph";
        edge_cost, 1, "What sharing saves";
        unshared, 20, "Shared, tiled, unshared";
        kernels, 6, "Kernels at random, by hand, by k-means";
        feature_maps, 20, "LeNet and what it sees";
        vgg, 25, "VGG: small kernels in columns";
        residual, 60, "Residual learning";
        efficient, 25, "Depthwise blocks and compound scaling";
        mnist1d, 60, "MNIST-1D by four models";
    }
    recurrent, "Recurrent networks": {
        patterns, 1, "Three design patterns";
        unfolding, 1, "Unfolding: a loop becomes a chain";
        teacher_forcing, 3, "Teacher forcing and free running";
        gradients, 2, "Gradients that vanish and explode";
        leaky, 1, "Leaky units and skips in time";
        lstm, 1, "The LSTM, gate by gate";
        variants, 6, "Peepholes, coupled gates, GRU";
        time_delay, 2, "A time-delay network";
        bidirectional, 1, "Both directions";
        recall, 25, "Recalling a token after 200 steps";
    }
    text, "Text": {
        one_hot, 1, "One-hot words and n-grams";
        bigram, 1, "Names by pairs of letters";
        mlp, 6, "Names by three letters and a hidden layer";
        lstm, 25, "Names by an LSTM";
        gender, 2, "A first name's sex by its letters";
        word2vec, 1, "Word vectors by their neighbours";
        sentiment, 4, "Praise or blame, by a word's letters";
        negation, 1, "What \"not\" turns";
        entities, 3, "People, places, organisations";
        char_lm, 35, "Shakespeare, character by character";
        dates, 15, "Dates: sequence to sequence with attention";
        spelling, 70, "From spelling to sound";
    }
    attention, "Attention": {
        by_hand, 1, "Scaled dot products by hand";
        reversal, 4, "Reversing a row, and the map of attention";
        encoder, 3, "A transformer's encoder, and why it needs positions";
        set_anomaly, 12, "What does not belong to the set?";
        gpt, 180, "A small GPT";
    }
    graphs, "Graphs": {
        karate, 1, "The karate club with four labels";
        gcn, 37, "Cora by graph convolution, and without the graph";
        gat, 9, "Cora by graph attention";
    }
    autoencoders, "Autoencoders": {
        linear, 13, "Linear: the subspace of PCA";
        deep, 4, "Deep: two numbers for a digit";
        sparse, 13, "Sparse: few units at a time";
        denoising, 20, "Denoising: half of the pixels zeroed";
        contractive, 4, "Contractive: the whole Jacobian";
        stacked, 15, "Stacked: one autoencoder on another's code";
    }
    generative, "Generative models": {
        pixels, 8, "Pixel by pixel";
        vae, 60, "The variational autoencoder";
        gan_gaussians, 20, "A GAN that loses modes, and a cure";
        gan_mnist, 80, "A convolutional GAN";
        diffusion_plane, 8, "Diffusion in the plane";
        diffusion_digits, 120, "Diffusion of digits";
    }
    zoo, "The zoo": {
        markov_chain, 1, "Markov chain";
        radial_basis, 1, "Radial basis network";
        hopfield, 1, "Hopfield network";
        boltzmann, 2, "Boltzmann machine";
        rbm, 20, "Restricted Boltzmann machine";
        deep_belief, 40, "Deep belief network";
        extreme_learning, 15, "Extreme learning machine";
        echo_state, 5, "Echo-state network";
        liquid_state, 1, "Liquid state machine";
        kohonen, 3, "Self-organising map";
        support_vector, 3, "Support vector machine";
        deconvolutional, 12, "Deconvolutional network";
        inverse_graphics, 25, "Inverse graphics network";
        neural_turing, 5, "Neural Turing machine";
        clusters, 10, "k-means and principal components";
    }
    reinforcement, "Reinforcement learning": {
        bandit, 3, "Ten arms";
        cart_pole, 8, "Balancing a pole";
    }
}
