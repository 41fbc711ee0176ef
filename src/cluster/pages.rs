//! [`every_page`]: the objects of a list that is too long for one answer.

use kube::api::{ListParams, ObjectList};

/// Objects a page.
const PAGE: u32 = 500;

/// What all pages of a list hold, read one after the other as of the first one's version.
///
/// # Errors
/// If a page cannot be read.
pub(crate) async fn every_page<T: Clone>(
    list: ListParams,
    read: impl AsyncFn(ListParams) -> kube::Result<ObjectList<T>>,
) -> kube::Result<Vec<T>> {
    let mut page = list.limit(PAGE);
    let mut found = Vec::new();
    loop {
        let list = read(page.clone()).await?;
        found.extend(list.items);
        match list.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => page = page.continue_token(&token),
            None => return Ok(found),
        }
    }
}
