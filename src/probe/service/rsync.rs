//! rsync daemon (rsyncd.conf(5)): the modules that it lists, and which of them want a password.

use super::{Export, NONE, OUR_NAME, Protocol, REQUIRED, Seen};
use crate::probe::dial::{Connection, Dialer, Stop};
use crate::probe::reader::banner;

/// rsync.
pub const PROTOCOL: Protocol = Protocol {
    name: "rsync",
    ports: &[873],
    processes: &["rsync"],
    greets: Some(|first| first.starts_with(b"@RSYNCD:")),
    talk: Some(|dialer, connection, first| Box::pin(async move { Some(talk(dialer, connection, first).await) })),
    ..Protocol::NONE
};

/// Version 30: every server since 2008 knows it, and none asks for more in the greeting.
const OURS: &[u8] = b"@RSYNCD: 30.0\n";
/// Most modules listed, and most asked whether they want a password.
const LISTED_LIMIT: usize = 64;
const ASKED_LIMIT: usize = 8;

/// How a server answers to the name of a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    Open,
    Password,
    Denied,
}

/// Lists the modules, then asks the first few of them one by one.
async fn talk(dialer: &Dialer, mut connection: Connection, first: &[u8]) -> Seen {
    let mut seen = Seen::plain("rsync", first, "greeting @RSYNCD:");
    connection.unread(first);
    let listed = match list(&mut connection).await {
        Ok(listed) => listed,
        Err(stop) => {
            for field in ["exports", "open"] {
                seen.left_open(field, format!("#list: {stop}"));
            }
            return seen;
        }
    };
    seen.exchange = format!("#list answered with {} modules", listed.len());
    drop(connection);
    let mut wanted = 0;
    for (number, name) in listed.iter().take(LISTED_LIMIT).enumerate() {
        let mut export = Export { name: banner(name.as_bytes()), ..Export::default() };
        let access = match number < ASKED_LIMIT {
            true => access(dialer, name).await,
            false => Err("more modules than are asked".to_string()),
        };
        match access {
            // What looked like a module was a line of the message of the day.
            Ok(None) => continue,
            Ok(Some(Access::Open)) => {
                export.security.push("none".into());
                seen.authentication = NONE;
                seen.opens("no-password");
            }
            Ok(Some(Access::Password)) => {
                export.security.push("password".into());
                wanted += 1;
            }
            Ok(Some(Access::Denied)) => {
                export.to.push("not this address".into());
                wanted += 1;
            }
            Err(problem) => seen.left_open("open", format!("module {}: {problem}", export.name)),
        }
        seen.exports.push(export);
    }
    if seen.authentication != NONE && wanted > 0 && wanted == seen.exports.len() {
        seen.authentication = REQUIRED;
    }
    seen
}

/// Names of the modules that are listed.
async fn list(connection: &mut Connection) -> Result<Vec<String>, Stop> {
    greet(connection).await?;
    connection.send(b"#list\n").await?;
    let lines = connection.lines(|l| l.starts_with(b"@RSYNCD: EXIT") || l.starts_with(b"@ERROR")).await?;
    if lines.last().is_some_and(|l| l.starts_with(b"@ERROR")) {
        return Err(Stop::Malformed);
    }
    Ok(modules(&lines))
}

/// A name padded to fifteen characters, a tabulator and a comment; the message of the day comes before.
fn modules(lines: &[Vec<u8>]) -> Vec<String> {
    let name = |line: &Vec<u8>| String::from_utf8(line.split(|b| *b == b'\t').next()?.trim_ascii_end().to_vec()).ok();
    lines.iter().filter(|l| l.contains(&b'\t')).filter_map(name).filter(|n| !n.is_empty()).collect()
}

/// Names a module and hears whether it opens; `None` when there is no such module.
async fn access(dialer: &Dialer, name: &str) -> Result<Option<Access>, String> {
    let mut connection = dialer.connect_outward().await.map_err(|e| e.to_string())?;
    let asked = async {
        greet(&mut connection).await?;
        connection.send(format!("{name}\n").as_bytes()).await?;
        let lines = connection.lines(|l| l.starts_with(b"@RSYNCD: ") || l.starts_with(b"@ERROR")).await?;
        Ok::<_, Stop>(lines.last().cloned().unwrap_or_default())
    };
    let answer = asked.await.map_err(|stop| stop.to_string())?;
    parse(&answer).ok_or_else(|| format!("{OUR_NAME} does not know the answer {}", banner(&answer)))
}

#[expect(clippy::option_option, reason = "an answer that is not known, and one that says there is no such module")]
fn parse(answer: &[u8]) -> Option<Option<Access>> {
    let text = String::from_utf8_lossy(answer);
    if text.starts_with("@RSYNCD: OK") {
        Some(Some(Access::Open))
    } else if text.starts_with("@RSYNCD: AUTHREQD") {
        Some(Some(Access::Password))
    } else if text.starts_with("@ERROR: Unknown module") {
        Some(None)
    } else if text.starts_with("@ERROR: access denied") || text.starts_with("@ERROR: auth failed") {
        Some(Some(Access::Denied))
    } else {
        None
    }
}

async fn greet(connection: &mut Connection) -> Result<(), Stop> {
    let line = connection.line().await?;
    if !line.starts_with(b"@RSYNCD: ") {
        return Err(Stop::Malformed);
    }
    connection.send(OURS).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::reader::mutations;

    #[test]
    fn answers_to_a_module_are_told_apart() {
        assert_eq!(parse(b"@RSYNCD: OK"), Some(Some(Access::Open)));
        assert_eq!(parse(b"@RSYNCD: AUTHREQD 0xAbc"), Some(Some(Access::Password)));
        assert_eq!(parse(b"@ERROR: Unknown module 'x'"), Some(None));
        assert_eq!(parse(b"@ERROR: access denied to x from UNDETERMINED (127.0.0.1)"), Some(Some(Access::Denied)));
        assert_eq!(parse(b"@ERROR: max connections (2) reached -- try again later"), None);
    }

    #[test]
    fn recorded_modules_are_lines_with_a_tabulator() {
        let recorded: &[u8] = include_bytes!("../../../tests/wire/rsync-list.bin");
        let lines: Vec<Vec<u8>> = recorded.split(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
        // The first one is of the message of the day, which only the question for the module shows.
        assert_eq!(modules(&lines), ["Welcome", "open", "closed", "denied"]);
        for bytes in mutations(recorded) {
            modules(&bytes.split(|b| *b == b'\n').map(<[u8]>::to_vec).collect::<Vec<_>>());
            parse(&bytes);
        }
    }
}
