//! A form as a browser sends it: values and files (RFC 7578), within bounds, in memory that is granted.

use std::collections::BTreeMap;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, header};

use super::super::error::PageError;
use super::super::frame::Visit;
use super::super::signin::require_token;
use super::super::site::Site;
use crate::collector::body;
use crate::records::check::{MAX_FILE, MAX_FILES};

/// Largest form, bytes: one file of the largest size, and the values.
const MAX_BYTES: usize = MAX_FILE + (1 << 20);
/// Most parts of one form.
const MAX_PARTS: usize = 400;
/// Longest name of a part, bytes.
const MAX_NAME: usize = 100;
/// Media type of such a form.
const MEDIA: &str = "multipart/form-data";

/// What was sent.
#[derive(Debug, Default)]
pub(super) struct Sent {
    values: BTreeMap<String, Vec<String>>,
    /// Name of the part, name of the file, bytes.
    pub(super) files: Vec<(String, String, Vec<u8>)>,
}

impl Sent {
    /// Reads a form of this session; the role was asked for before.
    pub(super) async fn read(site: &Site, visit: &Visit, headers: &HeaderMap, sent: Body) -> Result<Self, PageError> {
        let bad = |text: &str| PageError::Bad(format!("The form {text}; nothing was recorded."));
        let media = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let boundary = multer::parse_boundary(media).map_err(|_| bad("is none that this page sends"))?;
        let received = body::receive(&site.app, headers, sent, MEDIA, MAX_BYTES).await;
        let received = received.map_err(|e| PageError::Bad(format!("The form could not be read: {e}. Nothing was recorded.")))?;
        let bytes = Bytes::from(received.bytes.clone());
        let mut parts = multer::Multipart::new(futures_util::stream::once(async { Ok::<_, std::convert::Infallible>(bytes) }), boundary);
        let mut out = Self::default();
        let mut count = 0;
        while let Some(part) = parts.next_field().await.map_err(|_| bad("is damaged"))? {
            count += 1;
            let name = part.name().unwrap_or_default().to_string();
            if count > MAX_PARTS || name.len() > MAX_NAME {
                return Err(bad("has more parts, or longer names, than a page sends"));
            }
            match part.file_name().map(String::from) {
                Some(file) => {
                    let bytes = part.bytes().await.map_err(|_| bad("is damaged"))?;
                    // A field for a file that was left empty comes as a file without a name.
                    if file.is_empty() && bytes.is_empty() {
                        continue;
                    }
                    if out.files.len() == MAX_FILES {
                        return Err(bad(&format!("has more than {MAX_FILES} files")));
                    }
                    out.files.push((name, file, bytes.to_vec()));
                }
                None => {
                    let text = part.text().await.map_err(|_| bad("is damaged"))?;
                    out.values.entry(name).or_default().push(text);
                }
            }
        }
        require_token(visit, out.value("form_token"))?;
        Ok(out)
    }

    /// The first value of a name; empty when it was not sent.
    pub(super) fn value(&self, name: &str) -> &str {
        self.values.get(name).and_then(|v| v.first()).map_or("", String::as_str)
    }

    /// Whether a name was sent at all.
    pub(super) fn has(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// Every value of a name.
    pub(super) fn all(&self, name: &str) -> &[String] {
        self.values.get(name).map_or(&[], Vec::as_slice)
    }
}
