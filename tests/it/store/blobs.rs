use assay::collector::store::{BlobRow, Store};
use assay::model::ids::{Address, HostId};

use super::{DAY, NOW, enrolled};

pub async fn a_blob_belongs_to_one_host_and_an_orphan_is_swept(store: Store) {
    let (host, other) = (enrolled(&store, 1).await, enrolled(&store, 2).await);
    let blob = |n: u8| BlobRow { address: Address::new([n; 32]), frame: vec![n] };
    store.put_blob(&host, &blob(1), NOW).await.unwrap();
    store.put_blob(&host, &blob(2), NOW + DAY).await.unwrap();
    store.put_blob(&host, &blob(2), NOW).await.unwrap();
    assert_eq!(store.blob(&other, &blob(1).address).await.unwrap(), None);
    assert_eq!(store.missing_blobs(&host, &[blob(1).address, blob(3).address]).await.unwrap(), [blob(3).address]);
    assert_eq!(store.unused_blob_bytes(&host).await.unwrap(), 2);
    assert_eq!(store.sweep_blobs(NOW + 1).await.unwrap(), 1);
    assert_eq!(store.blob(&host, &blob(1).address).await.unwrap(), None);
    assert_eq!(store.blob(&host, &blob(2).address).await.unwrap(), Some(vec![2]));
    assert!(store.put_blob(&HostId::new([9; 32]), &blob(1), NOW).await.is_err());
}
