//! Named entities: which words of a sentence are a person, a place, an organisation? Sentences come from a grammar with first names from
//! a list; the test has names that training had not. Each word is read by its letters, then a network runs over the words in both
//! directions. Source: Lample et al., Neural Architectures for Named Entity Recognition, 2016.

use crate::lesson::{Lesson, Result};
use wgrad::nn::{Adam, Context, Embedding, Gru, Linear, RecurrentOptions, compile, gradients};
use wgrad::plot::Figure;
use wgrad::{CrossEntropyOptions, Device, Generator, Module, Optimizer, Reduction, Tensor};

const KINDS: [&str; 4] = ["other", "person", "place", "organisation"];
const PLACES: &str =
    "Paris Berlin Vienna London Madrid Rome Oslo Lisbon Prague Dublin Zurich Athens";
const FIRMS: &str = "Bank Works Group Press Motors Mills Labs Lines";
/// P is a person, L a place, O an organisation: a person's name or a place with a firm's word behind.
const FORMS: &str = "P met P in L|P works for O|yesterday P went to L with P|O is in L|P sold O to O|in L it rained|nobody at O knew P";
const LONG: usize = 10;
const LETTERS: usize = 10;

#[derive(Module)]
struct Net {
    letters: Embedding,
    word: Gru,
    sentence: Gru,
    out: Linear,
}

impl Net {
    /// Scores `[batch, words, kinds]` of letters `[batch, words, letters]`.
    fn forward(&self, x: &Tensor, cx: &mut Context) -> Tensor {
        let letters = self.letters.forward(&x.flatten(0, 1));
        let words = self.word.forward(&letters, None, cx).0.select(1, -1);
        let words = words.reshape(&[x.size(0) as isize, LONG as isize, -1]);
        self.out.forward(&self.sentence.forward(&words, None, cx).0)
    }
}

/// A sentence, its words with the number of their kind.
fn sentence(names: &[&str], chance: &[f32]) -> Vec<(String, i32)> {
    let pick =
        |at: usize, list: &[&str]| list[(chance[at] * list.len() as f32) as usize].to_owned();
    let list = |text: &'static str| text.split(' ').collect::<Vec<_>>();
    let form = pick(0, &FORMS.split('|').collect::<Vec<_>>());
    let mut words = Vec::new();
    for (at, part) in form.split(' ').enumerate() {
        let (name, place) = (pick(at + 1, names), pick(at + 2, &list(PLACES)));
        match part {
            "P" => words.push((name, 1)),
            "L" => words.push((place, 2)),
            "O" => {
                words.push((if chance[at + 3] < 0.5 { name } else { place }, 3));
                words.push((pick(at + 4, &list(FIRMS)), 3));
            }
            other => words.push((other.to_owned(), 0)),
        }
    }
    words
}

/// Letters `[sentences, 10, 10]`, the last ones of each word, and kinds `[sentences, 10]`; −1 is padding.
fn tensors(sentences: &[Vec<(String, i32)>], device: &Device) -> (Tensor, Tensor) {
    let (mut letters, mut kinds) = (Vec::new(), Vec::new());
    for sentence in sentences {
        for at in 0..LONG {
            let entry = sentence.get(at).map(|(word, kind)| (word.as_str(), *kind));
            let (word, kind) = entry.unwrap_or(("", -1));
            let bytes = &word.as_bytes()[word.len().saturating_sub(LETTERS)..];
            letters.extend(vec![0; LETTERS - bytes.len()]);
            letters.extend(bytes.iter().map(|b| i32::from(b % 128)));
            kinds.push(kind);
        }
    }
    let letters = Tensor::from_slice(&letters, &[sentences.len(), LONG, LETTERS], device);
    let kinds = Tensor::from_slice(&kinds, &[sentences.len(), LONG], device);
    (letters, kinds)
}

/// `count` sentences with every fifth name, or with all others.
fn draw(text: &str, fifth: bool, count: usize, lesson: &Lesson) -> Result<Vec<Vec<(String, i32)>>> {
    let names = text
        .lines()
        .enumerate()
        .filter(|(at, _)| (at % 5 == 0) == fifth);
    let names: Vec<&str> = names.map(|(_, name)| name).collect();
    let mut rng = Generator::new(2 * lesson.seed + u64::from(fifth));
    let chance = rng.uniform(&[count, 13], &lesson.device).to_vec::<f32>()?;
    Ok(chance
        .chunks_exact(13)
        .map(|chance| sentence(&names, chance))
        .collect())
}

pub fn run(lesson: &mut Lesson) -> Result {
    let device = &lesson.device.clone();
    let Some(file) = lesson.data("text/names_female.txt") else {
        lesson.say("This lesson needs English first names, as nltk has them: names/female.txt.");
        return Ok(());
    };
    let text = std::fs::read_to_string(file)?;
    let train = draw(&text, false, lesson.pick(4000, 2000), lesson)?;
    let test = draw(&text, true, 500, lesson)?;
    let ((x, y), (unseen, truth)) = (tensors(&train, device), tensors(&test, device));
    let mut rng = Generator::new(lesson.seed);
    let options = RecurrentOptions::default().batch_first(true);
    let net = Net {
        letters: Embedding::new(128, 16, &mut rng, device),
        word: Gru::new(16, 32, &options, &mut rng, device),
        sentence: Gru::new(32, 32, &options.bidirectional(true), &mut rng, device),
        out: Linear::new(64, KINDS.len(), &mut rng, device),
    };
    let mut state = (net, Adam::new(0.005), Context::train(lesson.seed));
    let mut step = compile(|(net, adam, cx): &mut (Net, Adam, Context), b: &[Tensor]| {
        let (x, y) = (b[0].index_select(0, &b[2]), b[1].index_select(0, &b[2]));
        let options = CrossEntropyOptions::from(Reduction::Mean).ignore_index(-1);
        let scores = net.forward(&x, cx).flatten(0, 1);
        let loss = scores.cross_entropy(&y.reshape(&[-1]), options);
        let gradients = gradients(&loss, net)?.clip_norm(1.0);
        adam.step(net, &gradients)?;
        Ok(loss)
    });
    for _ in 0..lesson.pick(600, 150) {
        let some = rng.integers(0, train.len() as i32, &[32], device);
        step.call(&mut state, &[&x, &y, &some])?;
    }
    let said = state
        .0
        .forward(&unseen, &mut Context::eval())
        .argmax(-1, false);
    let (truth, said) = (truth.to_vec::<i32>()?, said.to_vec::<i32>()?);
    let mut confusion = [0usize; 16];
    for (&truth, &said) in truth.iter().zip(&said).filter(|(t, _)| **t >= 0) {
        confusion[truth as usize * 4 + said as usize] += 1;
    }
    // F1 over all words that are, or are said to be, an entity of their kind.
    let hits: usize = (1..4).map(|k| confusion[5 * k]).sum();
    let are: usize = confusion[4..].iter().sum();
    let named = are + confusion[1..4].iter().sum::<usize>()
        - (1..4).map(|k| confusion[4 * k]).sum::<usize>();
    let f1 = 2.0 * hits as f64 / (are + named) as f64;
    lesson.at_least("F1 of entities, names not seen", f1, lesson.pick(0.97, 0.8))?;
    let marked = test[0]
        .iter()
        .zip(&said)
        .map(|((word, _), &kind)| (word, KINDS[kind as usize]));
    lesson.say(format!("{:?}", marked.collect::<Vec<_>>()));
    let figure = Figure::new("Words of test sentences").confusion(&KINDS, &confusion);
    lesson.figure("confusion", "Words by kind", &figure)
}
