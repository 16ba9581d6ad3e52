//! Letters on their way: claimed, sent, settled; tried again later and later, and given up visibly.

use tokio::task::JoinSet;

use super::target::Target;
use super::{AlertError, mail, syslog, webhook};
use crate::collector::App;
use crate::collector::store::{Letter, LetterState, Store};

/// Letters under way at once.
const AT_ONCE: u32 = 16;
/// An attempt that is not settled by then was lost with its process, seconds.
const CLAIM: i64 = 120;
/// Attempts before a letter is given up: about two days.
const MAX_ATTEMPTS: u32 = 16;
/// First pause, seconds; doubled by each failure.
const FIRST_PAUSE: i64 = 30;
/// Longest pause, seconds.
const LONGEST_PAUSE: i64 = 6 * 3600;

/// How long a letter waits after so many attempts, seconds.
pub fn backoff(attempts: u32) -> i64 {
    (FIRST_PAUSE << attempts.saturating_sub(1).min(12)).min(LONGEST_PAUSE)
}

/// Tries every letter whose time has come; how many were delivered.
pub async fn deliver(app: &App, now: i64) -> Result<usize, AlertError> {
    let store = &app.store;
    let due = store.due_letters(now, AT_ONCE).await?;
    if due.is_empty() {
        return Ok(0);
    }
    let targets = Target::all(store).await?;
    let mut under_way = JoinSet::new();
    for letter in due {
        if !store.claim_letter(&letter, now + CLAIM).await? {
            continue;
        }
        let target = targets.iter().find(|t| t.id == letter.target).cloned();
        under_way.spawn(attempt(store.clone(), target, letter, now));
    }
    let mut delivered = 0;
    while let Some(done) = under_way.join_next().await {
        match done {
            Ok(Ok(true)) => delivered += 1,
            Ok(Ok(false)) => {}
            Ok(Err(e)) => tracing::error!("what became of a letter was not kept, it will be tried again: {e}"),
            Err(e) => tracing::error!("an attempt ended badly: {e}"),
        }
    }
    Ok(delivered)
}

/// One attempt; whether the receiver took it.
async fn attempt(store: Store, target: Option<Target>, letter: Letter, now: i64) -> Result<bool, AlertError> {
    let attempts = letter.attempts.saturating_add(1);
    let sent = match &target {
        None => Err(AlertError::Bad("the target can't be read".into())),
        Some(target) => match target.kind.as_str() {
            "webhook" => webhook::send(&store, target, &letter, now).await,
            "mail" => mail::send(&store, target, &letter).await,
            "syslog" => syslog::send(target, &letter).await,
            other => Err(AlertError::Bad(format!("{other:?} is no kind of target"))),
        },
    };
    let name = target.as_ref().map_or("", |t| t.name.as_str());
    let Err(e) = sent else {
        tracing::info!(target_name = name, letter = %letter.id, "delivered: {}", letter.title);
        store.settle_letter(letter.number, LetterState::Delivered, "", now).await?;
        return Ok(true);
    };
    let problem: String = e.to_string().chars().take(500).collect();
    if attempts >= MAX_ATTEMPTS {
        tracing::error!(target_name = name, letter = %letter.id, "given up after {attempts} attempts: {problem}");
        store.settle_letter(letter.number, LetterState::Dead, &problem, now).await?;
    } else {
        tracing::warn!(target_name = name, letter = %letter.id, "not delivered at attempt {attempts}, tried again: {problem}");
        store.settle_letter(letter.number, LetterState::Waiting, &problem, now + backoff(attempts)).await?;
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_six_hours() {
        assert_eq!((backoff(1), backoff(2), backoff(5), backoff(60)), (30, 60, 480, LONGEST_PAUSE));
        let total: i64 = (1..MAX_ATTEMPTS).map(backoff).sum();
        assert!((36 * 3600..72 * 3600).contains(&total), "{total}");
    }
}
