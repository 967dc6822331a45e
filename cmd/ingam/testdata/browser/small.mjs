// Makes a picture of a page small: 256 colours do for text in a few shades, and zlib at its best.
// PNG Specification (Third Edition) §5.3, §9, §11.2, annex D.
import { deflateSync, inflateSync } from 'node:zlib'

const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a])

// small answers the picture with a palette of its 256 commonest colours; the others become the nearest of them.
export function small(png) {
  const { width, height, pixels } = read(png)
  const counts = new Map()
  for (let i = 0; i < pixels.length; i += 3) {
    const colour = pixels.readUIntBE(i, 3)
    counts.set(colour, (counts.get(colour) ?? 0) + 1)
  }
  const palette = [...counts].sort((a, b) => b[1] - a[1] || a[0] - b[0]).slice(0, 256).map(([colour]) => colour)
  const index = new Map([...counts.keys()].map((colour) => [colour, nearest(palette, colour)]))
  const rows = Buffer.alloc(height * (width + 1)) // each row begins with its filter: 0, none
  for (let y = 0, from = 0; y < height; y++) {
    for (let x = 0; x < width; x++, from += 3) rows[y * (width + 1) + 1 + x] = index.get(pixels.readUIntBE(from, 3))
  }
  const header = Buffer.alloc(13)
  header.writeUInt32BE(width, 0)
  header.writeUInt32BE(height, 4)
  header.set([8, 3, 0, 0, 0], 8) // 8 bits, indexed colour
  const colours = Buffer.alloc(3 * palette.length)
  palette.forEach((colour, i) => colours.writeUIntBE(colour, 3 * i, 3))
  const image = deflateSync(rows, { level: 9 })
  return Buffer.concat([
    signature, chunk('IHDR', header), chunk('PLTE', colours), chunk('IDAT', image), chunk('IEND', Buffer.alloc(0)),
  ])
}

function nearest(palette, colour) {
  let [best, least] = [0, Infinity]
  for (let i = 0; i < palette.length && least > 0; i++) {
    const distance = [16, 8, 0].reduce((sum, shift) => sum + ((palette[i] >> shift & 255) - (colour >> shift & 255)) ** 2, 0)
    if (distance < least) [best, least] = [i, distance]
  }
  return best
}

// read answers the pixels of a picture with 8 bits for each of three colours, as the browser makes them.
function read(png) {
  const data = []
  let header
  for (let at = signature.length; at < png.length;) {
    const length = png.readUInt32BE(at)
    const type = png.toString('latin1', at + 4, at + 8)
    const body = png.subarray(at + 8, at + 8 + length)
    if (type === 'IHDR') header = body
    if (type === 'IDAT') data.push(body)
    at += 12 + length
  }
  const [width, height] = [header.readUInt32BE(0), header.readUInt32BE(4)]
  const channels = { 2: 3, 6: 4 }[header[9]]
  if (header[8] !== 8 || !channels || header[12] !== 0) throw new Error('this is no picture of the browser')
  const raw = unfilter(inflateSync(Buffer.concat(data)), width * channels, height, channels)
  if (channels === 3) return { width, height, pixels: raw }
  const pixels = Buffer.alloc(width * height * 3) // nothing shines through a page: the fourth channel says nothing
  for (let i = 0; i < width * height; i++) raw.copy(pixels, 3 * i, 4 * i, 4 * i + 3)
  return { width, height, pixels }
}

// unfilter turns differences back into values.
function unfilter(rows, stride, height, step) {
  const out = Buffer.alloc(stride * height)
  for (let y = 0; y < height; y++) {
    const filter = rows[y * (stride + 1)]
    for (let x = 0; x < stride; x++) {
      const left = x >= step ? out[y * stride + x - step] : 0
      const up = y > 0 ? out[(y - 1) * stride + x] : 0
      const corner = x >= step && y > 0 ? out[(y - 1) * stride + x - step] : 0
      const guess = [0, left, up, (left + up) >> 1, paeth(left, up, corner)][filter]
      out[y * stride + x] = rows[y * (stride + 1) + 1 + x] + guess
    }
  }
  return out
}

function paeth(left, up, corner) {
  const guess = left + up - corner
  const [a, b, c] = [Math.abs(guess - left), Math.abs(guess - up), Math.abs(guess - corner)]
  return a <= b && a <= c ? left : b <= c ? up : corner
}

function chunk(type, body) {
  const out = Buffer.alloc(12 + body.length)
  out.writeUInt32BE(body.length, 0)
  out.write(type, 4, 'latin1')
  body.copy(out, 8)
  out.writeUInt32BE(crc(out.subarray(4, 8 + body.length)), 8 + body.length)
  return out
}

function crc(bytes) {
  let sum = 0xffffffff
  for (const byte of bytes) {
    sum ^= byte
    for (let bit = 0; bit < 8; bit++) sum = sum & 1 ? sum >>> 1 ^ 0xedb88320 : sum >>> 1
  }
  return (sum ^ 0xffffffff) >>> 0
}
