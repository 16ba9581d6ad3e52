use std::collections::BTreeMap;
use std::io::{Cursor, Read as _, Write as _};

use super::*;

type Files = BTreeMap<String, Vec<u8>>;

const LAST: &str = "manifest.json";

fn files() -> Files {
    let text = "the same words again and again, ".repeat(200).into_bytes();
    BTreeMap::from([
        ("a.txt".into(), b"one".to_vec()),
        ("b/c.json".into(), text),
        ("empty".into(), Vec::new()),
        (LAST.into(), b"{}".to_vec()),
        ("z".into(), vec![7; 129]),
    ])
}

fn packed(files: &Files) -> Pack<Cursor<Vec<u8>>> {
    let mut pack = Pack::new(Cursor::new(Vec::new()));
    for (path, bytes) in files {
        pack.add::<_, ArchiveError>(path, Method::Auto, |out| Ok(out.write_all(bytes)?)).unwrap();
    }
    pack
}

fn zipped(pack: &mut Pack<Cursor<Vec<u8>>>, order: &[usize]) -> Result<Vec<u8>, ArchiveError> {
    let mut container = Container::new(Vec::new());
    for i in order {
        let entry = pack.entries()[*i].clone();
        container.entry(&entry.0, pack.packed(&entry)?)?;
    }
    container.finish()
}

fn written(files: &Files) -> Vec<u8> {
    let mut pack = packed(files);
    let mut order: Vec<usize> = (0..pack.entries().len()).collect();
    order.sort_by_key(|i| pack.entries()[*i].0.path == LAST);
    zipped(&mut pack, &order).unwrap()
}

/// Content and facts of every entry, as a careful reader sees them.
fn read(bytes: &[u8]) -> Result<(Files, Vec<Facts>, Option<String>), ArchiveError> {
    let mut archive = Archive::open(Cursor::new(bytes))?;
    let (mut files, mut facts) = (Files::new(), Vec::new());
    for entry in archive.entries().to_vec() {
        let mut bytes = Vec::new();
        let mut content = archive.content(&entry.path, entry.bytes.min(1 << 20))?;
        content.read_to_end(&mut bytes).map_err(ArchiveError::from)?;
        facts.push(content.finish()?);
        files.insert(entry.path, bytes);
    }
    let difference = archive.difference(&facts, LAST)?;
    Ok((files, facts, difference))
}

#[test]
fn other_implementations_read_what_is_written() {
    let bytes = written(&files());
    assert_eq!(bytes, written(&files()));
    let mut other = zip::ZipArchive::new(Cursor::new(&bytes)).unwrap();
    assert_eq!(other.len(), files().len());
    for (path, expected) in files() {
        let mut entry = other.by_name(&path).unwrap();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        let method = if expected.len() > 128 { zip::CompressionMethod::Deflated } else { zip::CompressionMethod::Stored };
        assert_eq!((content, entry.compression()), (expected, method), "{path}");
    }
    let (read, facts, difference) = read(&bytes).unwrap();
    assert_eq!((read, difference), (files(), None));
    assert_eq!(facts.last().unwrap().path, LAST);
    assert!(bytes.len() < 1200, "{} bytes: the text was deflated", bytes.len());
}

#[test]
fn what_another_implementation_writes_differs() {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
    for (path, content) in files() {
        writer.start_file(path, options).unwrap();
        writer.write_all(&content).unwrap();
    }
    let bytes = writer.finish().unwrap().into_inner();
    // Names without the flag for UTF-8 are refused; with it the headers differ.
    assert!(read(&bytes).is_err() || read(&bytes).unwrap().2.is_some());
}

#[test]
fn every_single_bit_matters() {
    let bytes = written(&files());
    let facts = read(&bytes).unwrap().1;
    for i in 0..bytes.len() * 8 {
        let mut changed = bytes.clone();
        changed[i / 8] ^= 1 << (i % 8);
        // Changed content is still a well-formed bundle of other files: the digests of content and packed bytes tell.
        if let Ok((_, seen, difference)) = read(&changed) {
            assert!(difference.is_some() || seen != facts, "bit {i}");
        }
    }
    for end in 0..bytes.len() {
        assert!(read(&bytes[..end]).is_err(), "cut at {end}");
    }
    assert!(read(&[bytes.as_slice(), b"x"].concat()).is_err());
}

#[test]
fn paths_that_lead_elsewhere_duplicates_and_disorder_are_refused() {
    for bad in ["", "/etc/passwd", "../x", "a/../b", "a//b", "a\\b", "C:x", ".hidden", "a/", "é", &"a".repeat(MAX_PATH + 1)] {
        let mut pack = Pack::new(Cursor::new(Vec::new()));
        assert!(matches!(pack.add::<_, ArchiveError>(bad, Method::Auto, |_| Ok(())), Err(ArchiveError::Path(_))), "{bad}");
    }
    let mut pack = packed(&files());
    let twice = zipped(&mut pack, &[0, 0]).unwrap();
    assert_eq!(read(&twice).unwrap_err(), ArchiveError::Duplicate("a.txt".into()));
    let disorder = zipped(&mut pack, &[1, 0]).unwrap();
    assert!(read(&disorder).unwrap().2.unwrap().contains("\"a.txt\" stands too late"));
    let early = zipped(&mut pack, &[0, 3, 4]).unwrap();
    assert!(read(&early).unwrap().2.unwrap().contains("\"z\" stands too late"), "the manifest is last");
}

#[test]
fn overlapping_entries_do_not_grow() {
    // Every directory entry points at the same content.
    let content = vec![7u8; 100];
    let mut pack = Pack::new(Cursor::new(Vec::new()));
    pack.add::<_, ArchiveError>("a", Method::Store, |out| Ok(out.write_all(&content)?)).unwrap();
    let one = zipped(&mut pack, &[0]).unwrap();
    let start = 30 + 1 + content.len();
    let header = &one[start..start + 47];
    let mut bomb = one[..start].to_vec();
    for i in 0..20u8 {
        let mut header = header.to_vec();
        header[46] = b'a' + i;
        bomb.extend_from_slice(&header);
    }
    let mut end = one[one.len() - 22..].to_vec();
    end[10] = 20;
    bomb.extend_from_slice(&end);
    assert_eq!(read(&bomb).unwrap_err(), ArchiveError::Malformed("its entries overlap"));
}

#[test]
fn however_content_is_written_it_packs_to_the_same_bytes() {
    let text: Vec<u8> = (0..300_000u32).flat_map(|i| (i.wrapping_mul(i) % 251).to_string().into_bytes()).collect();
    let packed = |chunk: usize| {
        let mut pack = Pack::new(Cursor::new(Vec::new()));
        pack.add::<_, ArchiveError>("a", Method::Auto, |out| Ok(text.chunks(chunk).try_for_each(|c| out.write_all(c))?)).unwrap();
        pack.entries()[0].0.clone()
    };
    let whole = packed(text.len());
    assert!(whole.deflated && whole.packed < whole.bytes);
    for chunk in [3, 1000, 65_536, 65_537] {
        assert_eq!(packed(chunk), whole, "{chunk} bytes at a time");
    }
}

#[test]
fn content_is_unpacked_no_further_than_its_limit() {
    let bomb = BTreeMap::from([("bomb".to_string(), vec![0; 10 << 20])]);
    let bytes = written(&bomb);
    assert!(bytes.len() < 20_000);
    let mut archive = Archive::open(Cursor::new(&bytes)).unwrap();
    let mut content = archive.content("bomb", 1000).unwrap();
    let mut seen = Vec::new();
    content.read_to_end(&mut seen).unwrap();
    let facts = content.finish().unwrap();
    assert_eq!((seen.len(), facts.bytes, facts.packed), (1000, 1001, archive.entry("bomb").unwrap().packed));
}

#[test]
fn what_was_packed_is_taken_over_only_while_it_is_the_same() {
    let mut pack = packed(&files());
    let facts: Vec<Facts> = pack.entries().iter().map(|(f, _)| f.clone()).collect();
    let whole = zipped(&mut pack, &[0, 1, 2]).unwrap();
    let mut data = Vec::new();
    for entry in pack.entries().to_vec() {
        pack.packed(&entry).unwrap().read_to_end(&mut data).unwrap();
    }
    let mut again = Pack::new(Cursor::new(data.clone()));
    assert!(again.take_over(&facts).unwrap());
    assert_eq!(zipped(&mut again, &[0, 1, 2]).unwrap(), whole);
    data[5] ^= 1;
    assert!(!Pack::new(Cursor::new(data.clone())).take_over(&facts).unwrap());
    data[5] ^= 1;
    data.pop();
    assert!(!Pack::new(Cursor::new(data)).take_over(&facts).unwrap(), "cut off");
}

/// A file of more than 4 GiB and more than 65,535 files: written sparse, read by another implementation.
#[test]
fn numbers_that_do_not_fit_go_to_zip64() {
    let large = Facts {
        bytes: 5 << 30,
        crc: 1,
        deflated: true,
        packed: 3,
        packed_sha256: crate::model::ids::Digest::of(b""),
        path: "large".into(),
        sha256: crate::model::ids::Digest::of(b""),
    };
    let mut container = Container::new(Vec::new());
    container.entry(&large, b"abc".as_slice()).unwrap();
    for i in 0..70_000 {
        let small = Facts { bytes: 0, crc: 0, deflated: false, packed: 0, path: format!("many/{i:06}"), ..large.clone() };
        container.entry(&small, std::io::empty()).unwrap();
    }
    let bytes = container.finish().unwrap();
    let mut other = zip::ZipArchive::new(Cursor::new(&bytes)).unwrap();
    assert_eq!(other.len(), 70_001);
    let entry = other.by_index_raw(0).unwrap();
    assert_eq!((entry.size(), entry.compressed_size()), (5 << 30, 3));
    drop(entry);
    let archive = Archive::open(Cursor::new(&bytes)).unwrap();
    assert_eq!(archive.entries().len(), 70_001);
    assert_eq!(archive.entries()[0].bytes, 5 << 30);
    // An offset beyond 4 GiB stands in the directory only.
    let header = large.central_header(5 << 30);
    assert!(header.ends_with(&(5u64 << 30).to_le_bytes()));
}
