// @ts-check
/** Zip files in the browser: a folder becomes one (stored, not compressed), a dropped one is looked into. */

const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let bit = 0; bit < 8; bit++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n >>> 0;
});
const MOST = 0xfffffffe;
const YEAR_1980 = 33;

/** @param {Uint8Array} bytes @param {number} [crc] */
function crc32(bytes, crc = 0) {
  crc = ~crc;
  for (let at = 0; at < bytes.length; at++) crc = TABLE[(crc ^ bytes[at]) & 255] ^ (crc >>> 8);
  return ~crc >>> 0;
}

/** @param {Blob} blob */
async function summed(blob) {
  let crc = 0;
  for (let at = 0; at < blob.size; at += 4 << 20) {
    crc = crc32(new Uint8Array(await blob.slice(at, at + (4 << 20)).arrayBuffer()), crc);
  }
  return crc;
}

/**
 * The archive of some files. It is a list of references to them: nothing is copied into memory.
 * @param {{path: string, file: Blob}[]} files @param {(share: number) => void} progress
 * @returns {Promise<Blob>}
 */
export async function pack(files, progress) {
  if (files.length > 65_000) throw new Error("More than 65,000 files: zip the folder yourself, or send it in parts.");
  /** @type {BlobPart[]} */
  const parts = [];
  /** @type {BlobPart[]} */
  const directory = [];
  let at = 0, listed = 0;
  for (const [n, { path, file }] of files.entries()) {
    const name = new TextEncoder().encode(path);
    if (at + file.size + name.length + 30 > MOST) throw new Error("More than 4 GB: zip the folder yourself, or send it in parts.");
    const head = described(await summed(file), file.size, name.length);
    parts.push(local(head), name, file);
    directory.push(central(head, at), name);
    at += 30 + name.length + file.size;
    listed += 46 + name.length;
    progress((n + 1) / files.length);
  }
  return new Blob([...parts, ...directory, ending(files.length, listed, at)], { type: "application/zip" });
}

/** The 26 bytes that both headers share: UTF-8 name, stored. @param {number} crc @param {number} size @param {number} name */
function described(crc, size, name) {
  const view = new DataView(new ArrayBuffer(26));
  view.setUint16(0, 20, true);
  view.setUint16(2, 0x800, true);
  view.setUint16(8, YEAR_1980, true);
  view.setUint32(10, crc, true);
  view.setUint32(14, size, true);
  view.setUint32(18, size, true);
  view.setUint16(22, name, true);
  return new Uint8Array(view.buffer);
}

/** @param {Uint8Array<ArrayBuffer>} head */
const local = (head) => new Blob([Uint8Array.of(0x50, 0x4b, 3, 4), head]);

/** @param {Uint8Array<ArrayBuffer>} head @param {number} at */
function central(head, at) {
  const rest = new DataView(new ArrayBuffer(14));
  rest.setUint32(10, at, true);
  return new Blob([Uint8Array.of(0x50, 0x4b, 1, 2, 20, 0), head, rest.buffer]);
}

/** @param {number} count @param {number} size @param {number} at */
function ending(count, size, at) {
  const view = new DataView(new ArrayBuffer(22));
  view.setUint32(0, 0x06054b50, true);
  view.setUint16(8, count, true);
  view.setUint16(10, count, true);
  view.setUint32(12, size, true);
  view.setUint32(16, at, true);
  return view.buffer;
}

/**
 * What lies in an archive, to show some of it; [] where it is none that this reads (the service
 * reads more, and is who decides).
 * @param {Blob} blob @returns {Promise<{path: string, file: () => Promise<Blob>}[]>}
 */
export async function look(blob) {
  const tail = new DataView(await blob.slice(Math.max(0, blob.size - 66_000)).arrayBuffer());
  let end = tail.byteLength - 22;
  while (end >= 0 && tail.getUint32(end, true) !== 0x06054b50) end--;
  if (end < 0) return [];
  const [size, start] = [tail.getUint32(end + 12, true), tail.getUint32(end + 16, true)];
  if (start + size > blob.size) return [];
  const view = new DataView(await blob.slice(start, start + size).arrayBuffer());
  const found = [];
  for (let at = 0; at + 46 <= size && view.getUint32(at, true) === 0x02014b50; ) {
    const [name, extra, note] = [28, 30, 32].map((where) => view.getUint16(at + where, true));
    const path = new TextDecoder().decode(new Uint8Array(view.buffer, at + 46, name));
    const entry = { method: view.getUint16(at + 10, true), packed: view.getUint32(at + 20, true), from: view.getUint32(at + 42, true) };
    if (!path.endsWith("/")) found.push({ path, file: () => unpack(blob, entry) });
    at += 46 + name + extra + note;
  }
  return found;
}

/** @param {Blob} blob @param {{method: number, packed: number, from: number}} entry */
async function unpack(blob, { method, packed, from }) {
  const head = new DataView(await blob.slice(from, from + 30).arrayBuffer());
  const start = from + 30 + head.getUint16(26, true) + head.getUint16(28, true);
  const inside = blob.slice(start, start + packed);
  if (method === 0) return inside;
  return new Response(inside.stream().pipeThrough(new DecompressionStream("deflate-raw"))).blob();
}
