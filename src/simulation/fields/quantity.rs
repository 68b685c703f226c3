//! Quantities, in the one form in which the server prints each of them (`resource.Quantity`, `CanonicalizeBytes`).

use serde_json::Value;

/// The precision of quantities: nano.
const UNIT: i128 = 1_000_000_000;
const DECIMAL: [&str; 10] = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];
const BINARY: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

enum Format {
    Decimal,
    Binary,
    Exponent,
}

/// Writes a quantity as the server prints it; what is none stays as it is.
pub fn canonicalize(value: &mut Value) {
    let text = match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        _ => return,
    };
    if let Some(canonical) = parse(&text).and_then(|(nanos, format)| print(nanos, &format)) {
        *value = canonical.into();
    }
}

/// A quantity in units of nano; None for what is none.
pub fn nanos(value: &Value) -> Option<i128> {
    parse(value.as_str()?.trim()).map(|(nanos, _)| nanos)
}

fn parse(text: &str) -> Option<(i128, Format)> {
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let end = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(text.len());
    let (digits, suffix) = text.split_at(end);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mantissa: i128 = format!("{whole}{fraction}").parse().ok()?;
    let places = u32::try_from(fraction.len()).ok()?;
    let (factor, format) = scale(suffix)?;
    // Precision beyond nano is rounded up.
    let divisor = 10_i128.checked_pow(places)?;
    let scaled = mantissa.checked_mul(factor)?;
    let nanos = scaled / divisor + i128::from(scaled % divisor != 0);
    Some((if negative { -nanos } else { nanos }, format))
}

/// What one unit of a suffix is in nanos.
fn scale(suffix: &str) -> Option<(i128, Format)> {
    if let Some(at) = DECIMAL.iter().position(|known| *known == suffix) {
        return Some((1000_i128.pow(u32::try_from(at).ok()?), Format::Decimal));
    }
    if let Some(at) = BINARY.iter().position(|known| *known == suffix) {
        return Some((1024_i128.pow(u32::try_from(at).ok()?) * UNIT, Format::Binary));
    }
    let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
    let power = u32::try_from(exponent + 9).ok().filter(|power| *power < 28)?;
    Some((10_i128.pow(power), Format::Exponent))
}

fn print(nanos: i128, format: &Format) -> Option<String> {
    if nanos == 0 {
        return Some("0".into());
    }
    if let Format::Binary = format
        && (nanos >= 1024 * UNIT || nanos <= -1024 * UNIT)
    {
        let whole = nanos / UNIT + i128::from(nanos % UNIT > 0);
        let (number, steps) = divide(whole, 1024, BINARY.len() - 1);
        return Some(format!("{number}{}", BINARY[steps]));
    }
    let (number, steps) = divide(nanos, 1000, DECIMAL.len() - 1);
    match format {
        Format::Exponent => {
            let exponent = i32::try_from(steps).ok()? * 3 - 9;
            Some(if exponent == 0 { number.to_string() } else { format!("{number}e{exponent}") })
        }
        _ => Some(format!("{number}{}", DECIMAL[steps])),
    }
}

/// Divides as often as nothing remains.
fn divide(mut number: i128, by: i128, most: usize) -> (i128, usize) {
    let mut steps = 0;
    while steps < most && number % by == 0 {
        number /= by;
        steps += 1;
    }
    (number, steps)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn one_form_for_each_quantity() {
        let cases = [
            (json!("0.5"), "500m"),
            (json!("1000m"), "1"),
            (json!(2), "2"),
            (json!("1024Mi"), "1Gi"),
            (json!("1.5Gi"), "1536Mi"),
            (json!("512Ki"), "512Ki"),
            (json!("1000"), "1k"),
            (json!("0.5Ki"), "512"),
            (json!("1e3"), "1e3"),
            (json!("0"), "0"),
            (json!("-250m"), "-250m"),
            (json!("many"), "many"),
        ];
        for (mut written, printed) in cases {
            let before = written.clone();
            canonicalize(&mut written);
            assert_eq!(written, printed, "{before}");
        }
    }
}
