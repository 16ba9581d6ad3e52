//! Base score of CVSS 3.0 and 3.1 vectors (first.org, specification 3.1, section 7).

/// The base score in tenths; `None` when the text is no complete v3 vector.
pub fn base_tenths(vector: &str) -> Option<u8> {
    let metrics = vector.strip_prefix("CVSS:3.1/").or_else(|| vector.strip_prefix("CVSS:3.0/"))?;
    let value = |name: &str| metrics.split('/').find_map(|m| m.split_once(':').filter(|(n, _)| *n == name).map(|(_, v)| v));
    let scope_changed = match value("S")? {
        "C" => true,
        "U" => false,
        _ => return None,
    };
    let impact_of = |name: &str| match value(name)? {
        "H" => Some(0.56),
        "L" => Some(0.22),
        "N" => Some(0.0),
        _ => None,
    };
    let (confidentiality, integrity, availability): (f64, f64, f64) = (impact_of("C")?, impact_of("I")?, impact_of("A")?);
    let subscore = 1.0 - (1.0 - confidentiality) * (1.0 - integrity) * (1.0 - availability);
    let impact = if scope_changed { 7.52 * (subscore - 0.029) - 3.25 * (subscore - 0.02).powi(15) } else { 6.42 * subscore };
    let exploitability = exploitability(&value, scope_changed)?;
    if impact <= 0.0 {
        return Some(0);
    }
    let sum = if scope_changed { 1.08 * (impact + exploitability) } else { impact + exploitability };
    Some(round_up(sum.min(10.0)))
}

fn exploitability<'a>(value: &impl Fn(&str) -> Option<&'a str>, scope_changed: bool) -> Option<f64> {
    let vector = match value("AV")? {
        "N" => 0.85,
        "A" => 0.62,
        "L" => 0.55,
        "P" => 0.2,
        _ => return None,
    };
    let complexity = match value("AC")? {
        "L" => 0.77,
        "H" => 0.44,
        _ => return None,
    };
    let privileges = match (value("PR")?, scope_changed) {
        ("N", _) => 0.85,
        ("L", true) => 0.68,
        ("L", false) => 0.62,
        ("H", true) => 0.5,
        ("H", false) => 0.27,
        _ => return None,
    };
    let interaction = match value("UI")? {
        "N" => 0.85,
        "R" => 0.62,
        _ => return None,
    };
    Some(8.22 * vector * complexity * privileges * interaction)
}

/// The smallest tenth that is not less (appendix A: in whole hundred-thousandths, so that every
/// machine rounds alike).
fn round_up(score: f64) -> u8 {
    let hundred_thousandths = (score * 100_000.0).round().clamp(0.0, 1_000_000.0) as u32;
    u8::try_from(hundred_thousandths.div_ceil(10_000)).unwrap_or(100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_examples_hold() {
        // first.org, CVSS v3.1 examples.
        for (vector, tenths) in [
            ("CVSS:3.1/AV:N/AC:L/PR:L/UI:N/S:C/C:L/I:L/A:N", 64),
            ("CVSS:3.0/AV:N/AC:H/PR:N/UI:R/S:U/C:L/I:N/A:N", 31),
            ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N", 75),
            ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", 98),
            ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H", 100),
            ("CVSS:3.1/AV:N/AC:L/PR:H/UI:N/S:U/C:L/I:L/A:L", 47),
            ("CVSS:3.1/AV:P/AC:L/PR:N/UI:N/S:U/C:N/I:H/A:N", 46),
            ("CVSS:3.1/AV:L/AC:L/PR:L/UI:N/S:U/C:H/I:H/A:H", 78),
            ("CVSS:3.1/AV:A/AC:L/PR:N/UI:N/S:C/C:H/I:N/A:H", 93),
            ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N", 0),
            ("CVSS:3.1/AV:N/AC:H/PR:N/UI:N/S:U/C:H/I:H/A:H/E:F/RL:X", 81),
        ] {
            assert_eq!(base_tenths(vector), Some(tenths), "{vector}");
        }
    }

    #[test]
    fn what_is_no_complete_vector_has_no_score() {
        for text in ["", "9.8", "CVSS:3.1/AV:N", "CVSS:3.1/AV:X/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", "AV:N/AC:L/Au:N/C:P/I:P/A:P", "CVSS:4.0/AV:N"] {
            assert_eq!(base_tenths(text), None, "{text}");
        }
    }
}
