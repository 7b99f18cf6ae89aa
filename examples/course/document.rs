//! `docs/course.md`: what each lesson asserts, what came with each seed and in the quick form, and a picture. Made of runs
//! that have ended; runs nothing.

use crate::index::header;
use crate::lesson::Result;
use crate::results::{Check, Run, in_order};
use std::fmt::Write;
use std::path::Path;

/// Bytes of the largest picture that is kept.
const LARGEST: u64 = 200_000;

/// Writes `course.md` and the pictures of the first run, one for each lesson, into `docs`.
pub fn write(docs: &Path, folders: &[std::path::PathBuf]) -> Result {
    let runs = folders
        .iter()
        .map(|folder| Run::read(folder))
        .collect::<Result<Vec<_>>>()?;
    let first = runs.first().ok_or("--document needs folders of runs")?;
    let mut page = opening(&runs);
    let mut chapter = "";
    for (of, entry, name) in in_order() {
        if chapter != of.name {
            chapter = of.name;
            write!(page, "\n## {}\n", of.title)?;
        }
        write!(page, "\n### {}\n\n", entry.title)?;
        let place = format!("examples/course/{name}.rs");
        writeln!(
            page,
            "{} ([`{place}`](../{place}))\n",
            summary(entry.source)
        )?;
        table(&mut page, &runs, &name)?;
        let small = |file: &str| {
            let size = std::fs::metadata(first.folder.join(file)).map(|m| m.len());
            size.is_ok_and(|size| size < LARGEST)
        };
        let pictures = first.lessons.get(&name).map(|lesson| &lesson.pictures);
        if let Some((file, title)) = pictures.and_then(|all| all.iter().find(|p| small(&p.0))) {
            let kept = file.replace('/', "-");
            std::fs::create_dir_all(docs.join("course"))?;
            std::fs::copy(first.folder.join(file), docs.join("course").join(&kept))?;
            writeln!(page, "\n![{title}](course/{kept})")?;
        }
    }
    std::fs::write(docs.join("course.md"), page)?;
    Ok(())
}

fn opening(runs: &[Run]) -> String {
    let mut page = String::from(
        "# The course\n\nWhat each lesson asserts and what came. Written by the course itself:\n\n```sh\n\
         cargo run --release -p wgrad-course -- --all --seed 0 --out full0\n\
         cargo run --release -p wgrad-course -- --all --seed 1 --out full1\n\
         cargo run --release -p wgrad-course -- --all --quick --out quick\n\
         cargo run --release -p wgrad-course -- --document docs full0 full1 quick\n```\n\n\
         Ten of them stand [beside PyTorch](course-pytorch.md).\n\n\
         | run | device | lessons | minutes |\n|---|---|---|---|\n",
    );
    for run in runs {
        let minutes = run.lessons.values().map(|l| l.seconds).sum::<f64>() / 60.0;
        let failed = run.lessons.values().filter(|l| l.error.is_some()).count();
        page += &format!(
            "| {} | {} | {}{} | {minutes:.1} |\n",
            title(run),
            run.device,
            run.lessons.len(),
            if failed > 0 {
                format!(", {failed} failed")
            } else {
                String::new()
            },
        );
    }
    page
}

fn title(run: &Run) -> String {
    format!(
        "{}seed {}",
        if run.quick { "quick, " } else { "" },
        run.seed
    )
}

/// The first paragraph of a program's header.
fn summary(source: &str) -> String {
    let paragraph: Vec<&str> = source
        .lines()
        .map_while(|line| line.strip_prefix("//!"))
        .map(str::trim)
        .take_while(|line| !line.is_empty())
        .collect();
    match paragraph.is_empty() {
        true => header(source),
        false => paragraph.join(" "),
    }
}

/// A row for each check: what it had to be and what came, in each run.
fn table(page: &mut String, runs: &[Run], name: &str) -> Result {
    let asked: Vec<&Check> = runs
        .iter()
        .filter_map(|run| run.lessons.get(name))
        .flat_map(|lesson| &lesson.checks)
        .collect();
    let mut whats: Vec<&str> = Vec::new();
    for check in &asked {
        if !whats.contains(&check.what.as_str()) {
            whats.push(&check.what);
        }
    }
    if whats.is_empty() {
        return Ok(());
    }
    write!(page, "| figure |")?;
    runs.iter()
        .try_for_each(|run| write!(page, " {} |", title(run)))?;
    write!(page, "\n|---|")?;
    runs.iter().try_for_each(|_| write!(page, "---|"))?;
    writeln!(page)?;
    for what in whats {
        write!(page, "| {} |", what.replace('|', "\\|"))?;
        for run in runs {
            let check = run.lessons.get(name).and_then(|lesson| {
                let mut checks = lesson.checks.iter();
                checks.find(|check| check.what == what)
            });
            match check {
                Some(c) => write!(
                    page,
                    " {} ({}){} |",
                    number(c.got),
                    c.want,
                    if c.held { "" } else { " **not held**" }
                )?,
                None => write!(page, " |")?,
            }
        }
        writeln!(page)?;
    }
    write!(page, "| seconds |")?;
    for run in runs {
        match run.lessons.get(name) {
            Some(lesson) => write!(page, " {:.1} |", lesson.seconds)?,
            None => write!(page, " |")?,
        }
    }
    writeln!(page)?;
    Ok(())
}

/// Four significant digits.
fn number(value: f64) -> String {
    let places = match value.abs() {
        v if v == 0.0 || v >= 1000.0 => 0,
        v if v < 1e-3 => return format!("{value:.1e}"),
        v => (3 - v.log10().floor() as i32).max(0) as usize,
    };
    format!("{value:.places$}")
}
