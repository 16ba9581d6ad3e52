//! Storage from the mount down to the disk, as a tree that grows to the right.

use super::{Plot, units};

/// Width of a box.
const BOX: f64 = 150.0;
/// Its height.
const HIGH: f64 = 40.0;
/// Between boxes of two levels.
const GAP: f64 = 26.0;
/// Between boxes of one level.
const ROW: f64 = 10.0;
/// Levels that are drawn.
pub const MAX_LEVELS: usize = 12;
/// Boxes of one level that are drawn.
pub const MAX_BOXES: usize = 12;
/// Longest text in a box, characters.
const MAX_TEXT: usize = 22;

/// One layer.
#[derive(Clone, Debug, Default)]
pub struct Layer {
    /// What it is: `mount`, `lvm`, `crypt`, `disk`, …
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Whether it encrypts.
    pub locked: bool,
}

/// Layers from left to right, parallel ones under each other; nothing without any. `id` is that of the drawing on its page.
pub fn chain(id: &str, title: &str, levels: &[Vec<Layer>]) -> Option<String> {
    let levels: Vec<&[Layer]> = levels.iter().take(MAX_LEVELS).map(|l| l.get(..MAX_BOXES.min(l.len())).unwrap_or(&[])).filter(|l| !l.is_empty()).collect();
    let rows = levels.iter().map(|l| l.len()).max()?;
    let high = |n: usize| units(n as u64) * (HIGH + ROW) - ROW;
    let (height, width) = (high(rows) + 4.0, units(levels.len() as u64) * (BOX + GAP) - GAP + 4.0);
    let mut plot = Plot::sized(id, (width, height), title);
    let top = |l: &[Layer], n: usize| 2.0 + (high(rows) - high(l.len())) / 2.0 + units(n as u64) * (HIGH + ROW);
    for (column, level) in levels.iter().enumerate() {
        let x = 2.0 + units(column as u64) * (BOX + GAP);
        for n in 0..level.len() {
            let next = levels.get(column + 1).map_or(&[][..], |l| l);
            for m in 0..next.len() {
                plot.line((x + BOX, top(level, n) + HIGH / 2.0), (x + BOX + GAP, top(next, m) + HIGH / 2.0), "axis");
            }
        }
        for (n, layer) in level.iter().enumerate() {
            let y = top(level, n);
            plot.layer((x, y, BOX, HIGH), if layer.locked { "layer-locked" } else { "layer-plain" });
            let kind = if layer.locked { format!("{}, encrypts", layer.kind) } else { layer.kind.clone() };
            plot.text((x + 8.0, y + 16.0), "start", "", &short(&kind));
            plot.text((x + 8.0, y + 31.0), "start", "k", &short(&layer.name));
        }
    }
    let words: Vec<String> = levels.iter().map(|level| level.iter().map(said).collect::<Vec<_>>().join(" and ")).collect();
    Some(plot.done(&[], &words.join(" → ")))
}

fn said(layer: &Layer) -> String {
    format!("{} {}{}", layer.kind, layer.name, if layer.locked { " (encrypts)" } else { "" }).trim().to_string()
}

fn short(text: &str) -> String {
    match text.char_indices().nth(MAX_TEXT) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_host_calls_its_layers_is_no_markup_and_what_encrypts_is_said() {
        let layer = |kind: &str, name: &str, locked| Layer { kind: kind.into(), name: name.into(), locked };
        let drawn = chain(
            "c",
            "/",
            &[vec![layer("mount", "/<b>", false)], vec![layer("crypt", "md0", true)], vec![layer("disk", "sda", false), layer("disk", "sdb", false)]],
        )
        .unwrap();
        assert!(
            drawn.contains("layer-locked") && drawn.contains("crypt, encrypts") && drawn.contains("disk sda and disk sdb") && !drawn.contains("<b>"),
            "{drawn}"
        );
        assert_eq!(drawn.matches("class=\"axis\"").count(), 3);
        assert_eq!(chain("c", "/", &[]), None);
        let wide = vec![layer("d", "x", false); 500];
        assert!(chain("c", "/", &vec![wide; 50]).unwrap().len() < 400_000);
    }
}
