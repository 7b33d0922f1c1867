//! The page, and the picture, that the figures stand in.

use super::{Figure, STYLE, WIDTH, escaped, figures, grouped, ladder, octets, sequence, time};
use crate::connection::Connection;
use crate::{CONNECTIONS_MAX, POINTS_MAX, Report, Way};
use std::fmt::Write as _;

/// The look of the page around the figures.
const PAGE_STYLE: &str = include_str!("page.css");

/// Nothing may be fetched, whatever stands in the page, and nothing run.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

/// Connections that are unfolded at first.
const OPEN_MAX: usize = 8;

fn figures_of(connection: &Connection) -> Vec<Figure> {
    [
        sequence::figure(connection, Way::Sent),
        sequence::closer(connection, Way::Sent),
        sequence::figure(connection, Way::Received),
        sequence::closer(connection, Way::Received),
        figures::windows(connection),
        figures::round_trips(connection),
        figures::throughput(connection),
        ladder::figure(connection),
    ]
    .into_iter()
    .flatten()
    .collect()
}

pub(crate) fn page(report: &Report<'_>) -> String {
    let facts = &report.facts;
    let title = escaped(&facts.title);
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
         <title>{title} · sockeye</title>\n<style>\n{PAGE_STYLE}{STYLE}</style></head>\n\
         <body>\n<header><h1>{title}</h1>\n<dl>"
    );
    for (name, value) in &facts.lines {
        let _ = write!(out, "<dt>{}</dt><dd>{}</dd>", escaped(name), escaped(value));
    }
    out.push_str("</dl></header>\n<main>\n");
    index(&mut out, report);
    for (number, connection) in (1..).zip(report.connections) {
        section(&mut out, number, connection);
    }
    counters(&mut out, report);
    let _ = write!(
        out,
        "</main>\n<footer>Numbers of the sequence count from the SYN. Of a series {} points are drawn at \
         most, evenly chosen, and of a run the first {CONNECTIONS_MAX} connections; what is left out is \
         said where it is. Figures on a legend count all.</footer>\n</body></html>\n",
        grouped(POINTS_MAX as u64)
    );
    out
}

/// The table of all connections.
fn index(out: &mut String, report: &Report<'_>) {
    let count = report.connections.len() as u64 + report.left_out;
    let _ = write!(out, "<h2>{}</h2>", plural(count, "TCP connection"));
    if report.left_out > 0 {
        let _ = write!(
            out,
            "<p>The first {} are drawn; {} are not.</p>",
            report.connections.len(),
            plural(report.left_out, "attempt") + " after them"
        );
    }
    if report.connections.is_empty() {
        return;
    }
    out.push_str(
        "<div class=\"scroll\"><table><thead><tr><th></th><th>node</th><th>peer</th><th>state</th>\
         <th class=\"n\">time</th><th class=\"n\">sent</th><th class=\"n\">received</th>\
         <th class=\"n\">sent again</th><th class=\"n\">SRTT</th></tr></thead><tbody>\n",
    );
    for (number, connection) in (1..).zip(report.connections) {
        let [sent, received] = &connection.sides;
        let srtt = connection.round_trips.kept().last();
        let _ = writeln!(
            out,
            "<tr><td><a href=\"#c{number}\">{number}</a></td><td>{}</td><td>{}</td><td>{}</td>\
             <td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>\
             <td class=\"n\">{}</td><td class=\"n\">{}</td></tr>",
            connection.local,
            connection.remote,
            connection.state.unwrap_or("–"),
            time(connection.end.saturating_since(connection.begin)),
            octets(sent.octets),
            octets(received.octets),
            octets(sent.octets_again),
            srtt.map_or("–".into(), |point| time(point.srtt)),
        );
    }
    out.push_str("</tbody></table></div>\n");
}

fn section(out: &mut String, number: usize, connection: &Connection) {
    let open = if number <= OPEN_MAX { " open" } else { "" };
    let [sent, received] = &connection.sides;
    let _ = writeln!(
        out,
        "<details id=\"c{number}\" class=\"connection\"{open}><summary>{number} · {} ⇄ {} <small>{} sent, {} received</small></summary>",
        connection.local,
        connection.remote,
        plural(sent.segments, "segment"),
        grouped(received.segments),
    );
    let drawn = figures_of(connection);
    if drawn.is_empty() {
        out.push_str("<p>Nothing of it is known.</p>");
    }
    for figure in drawn {
        let mut caption = escaped(&figure.title);
        if !figure.remarks.is_empty() {
            let _ = write!(
                caption,
                "<small>drawn: {}</small>",
                escaped(&figure.remarks.join("; "))
            );
        }
        let _ = writeln!(
            out,
            "<figure class=\"{}\"><figcaption>{caption}</figcaption>\
             <svg viewBox=\"0 0 {WIDTH} {}\" role=\"img\" aria-label=\"{}\">{}</svg></figure>",
            figure.kind,
            figure.height,
            escaped(&figure.title),
            figure.body
        );
    }
    out.push_str("</details>\n");
}

fn counters(out: &mut String, report: &Report<'_>) {
    out.push_str("<h2>Counters of the node</h2>\n<div class=\"counters\">\n");
    for (name, value) in &report.facts.counters {
        let _ = writeln!(
            out,
            "<div><span>{}</span><b>{}</b></div>",
            escaped(name),
            grouped(*value)
        );
    }
    out.push_str("</div>\n");
}

pub(crate) fn picture(report: &Report<'_>) -> String {
    const MARGIN: f64 = 24.0;
    let mut body = String::new();
    let mut y = 40.0;
    let _ = write!(
        body,
        "<text class=\"title\" x=\"{MARGIN}\" y=\"{y}\">{}</text>",
        escaped(&report.facts.title)
    );
    for (name, value) in &report.facts.lines {
        y += 18.0;
        let _ = write!(
            body,
            "<text x=\"{MARGIN}\" y=\"{y}\">{}: {}</text>",
            escaped(name),
            escaped(value)
        );
    }
    if report.left_out > 0 {
        y += 18.0;
        let left_out = plural(report.left_out, "later attempt");
        let _ = write!(
            body,
            "<text x=\"{MARGIN}\" y=\"{y}\">{left_out} to connect not drawn</text>"
        );
    }
    for (number, connection) in (1..).zip(report.connections) {
        y += 44.0;
        let _ = write!(
            body,
            "<text class=\"title\" x=\"{MARGIN}\" y=\"{y}\">{number} · {} ⇄ {}</text>",
            connection.local, connection.remote
        );
        for figure in figures_of(connection) {
            y += 26.0;
            let drawn = match figure.remarks.is_empty() {
                true => String::new(),
                false => format!(" (drawn: {})", figure.remarks.join("; ")),
            };
            let _ = writeln!(
                body,
                "<text class=\"caption\" x=\"{MARGIN}\" y=\"{y}\">{}{}</text>\
                 <g class=\"{}\" transform=\"translate({MARGIN} {})\">{}</g>",
                escaped(&figure.title),
                escaped(&drawn),
                figure.kind,
                y + 8.0,
                figure.body
            );
            y += 8.0 + figure.height;
        }
    }
    let (width, height) = (WIDTH + 2.0 * MARGIN, y + MARGIN);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\">\n<style>\n{STYLE}</style>\n\
         <rect class=\"paper\" width=\"{width}\" height=\"{height}\"/>\n{body}</svg>\n"
    )
}

/// `1 segment`, `2 segments`.
fn plural(count: u64, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        _ => format!("{} {what}s", grouped(count)),
    }
}
