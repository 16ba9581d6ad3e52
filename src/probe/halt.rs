//! The wish to stop: what was seen until then still counts.

use tokio::sync::watch;

/// Shared by everything that speaks in one scan.
#[derive(Clone, Debug)]
pub struct Halt {
    wish: watch::Sender<bool>,
}

impl Default for Halt {
    fn default() -> Self {
        Self { wish: watch::Sender::new(false) }
    }
}

impl Halt {
    /// Asks everybody to stop.
    pub fn ask(&self) {
        self.wish.send_replace(true);
    }

    /// Whether somebody asked.
    pub fn is_asked(&self) -> bool {
        *self.wish.borrow()
    }

    /// Returns when somebody asks.
    pub async fn asked(&self) {
        // The sender lives in `self`, so waiting can't fail.
        let _ = self.wish.subscribe().wait_for(|asked| *asked).await;
    }
}
