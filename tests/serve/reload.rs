//! Certificates that are replaced while connections go on.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use ringfence::certs::files::Files;
use ringfence::certs::own::{Issued, issue};
use tokio::time::timeout;

use crate::running::{LONG, Running, start};

/// Writes a directory and swaps `..data` to it in one rename, as kubelet does.
fn project(volume: &Path, release: &str, pair: &Issued) {
    std::fs::create_dir(volume.join(release)).expect("creates");
    std::fs::write(volume.join(release).join("tls.crt"), &pair.cert_pem).expect("writes");
    std::fs::write(volume.join(release).join("tls.key"), &pair.key_pem).expect("writes");
    symlink(release, volume.join("..data_tmp")).expect("links");
    std::fs::rename(volume.join("..data_tmp"), volume.join("..data")).expect("renames");
}

/// Trusts this pair and no other from now on, and waits until it is served.
async fn until_served(running: &mut Running, pair: &Issued) {
    running.ca_pem.clone_from(&pair.ca_pem);
    let served = async {
        while running.handshake(&crate::client::Hello::default()).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    timeout(LONG, served).await.expect("is served");
}

#[tokio::test]
async fn a_swap_by_kubelet_is_served_to_new_connections_while_old_ones_go_on() {
    let mut running = start().await;
    let volume = tempfile::tempdir().expect("a directory");
    let pairs = [(); 2].map(|()| issue(&["localhost".to_owned()], &[]).expect("issues"));
    project(volume.path(), "..first", &pairs[0]);
    for name in ["tls.crt", "tls.key"] {
        symlink(format!("..data/{name}"), volume.path().join(name)).expect("links");
    }
    let files = Files::new(volume.path().join("tls.crt"), volume.path().join("tls.key"));
    let following = tokio::spawn(files.follow(running.certificate.clone(), Duration::from_millis(10)));

    until_served(&mut running, &pairs[0]).await;
    let mut old = running.http1().await;
    assert_eq!(old.review("{}").await.0, 200);
    project(volume.path(), "..second", &pairs[1]);
    until_served(&mut running, &pairs[1]).await;
    assert_eq!(old.review("{}").await.0, 200);
    running.is_well().await;
    let not_after = running
        .metric("ringfence_tls_certificate_not_after_timestamp_seconds")
        .await;
    assert_ne!(not_after, "0");
    following.abort();
}
