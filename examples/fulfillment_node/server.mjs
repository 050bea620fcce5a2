// A fulfillment system in Node, without packages. It follows docs/fulfillment.md of orderflow.
// It accepts each order, ships it in two parcels, and reports these by calls. Its data is in memory only:
// a real system stores each order before it answers, and each fact before it reports it.
import { createHmac, timingSafeEqual } from 'node:crypto'
import { createServer } from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'

const { FULFILLMENT_SECRET: secret, API_URL: apiUrl, API_KEY: apiKey, PORT = '8787' } = process.env
const shipsAfter = Number(process.env.SHIPS_AFTER ?? 2) * 1000 // from the order to each parcel, in seconds
const refused = process.env.REFUSES // a product that is never shipped
if (!secret) throw new Error('FULFILLMENT_SECRET is not set. Use the secret of the stack.')

const orders = new Map() // order -> { shipments, refusals, open: lines, refusedAttempt, cancelled }

const sign = (...parts) => {
  const hmac = createHmac('sha256', secret)
  parts.forEach((part) => hmac.update(part))
  return `v1=${hmac.digest('hex')}`
}

function isSigned(headers, body) {
  const timestamp = headers['x-orderflow-timestamp'] ?? ''
  if (!/^\d+$/.test(timestamp) || Math.abs(Date.now() / 1000 - Number(timestamp)) > 300) return false
  const expected = Buffer.from(sign(timestamp, '.', body))
  const given = Buffer.from(headers['x-orderflow-signature'] ?? '')
  return given.length === expected.length && timingSafeEqual(given, expected)
}

// Returns status and content of the answer. It does not wait, so requests are processed one after the other.
function answer(headers, body) {
  if (!isSigned(headers, body)) return [401, { detail: 'the signature does not match' }]
  const { orderId, attempt, items, cancel } = JSON.parse(body)
  if (headers['idempotency-key'] !== (cancel ? `${orderId}/cancel` : orderId)) {
    return [400, { detail: 'Idempotency-Key belongs to another order' }]
  }
  if (!orders.has(orderId)) orders.set(orderId, { shipments: [], refusals: [], open: [], refusedAttempt: 0 })
  const order = orders.get(orderId)
  return cancel ? cancelOrder(order) : fulfill(order, orderId, attempt, items)
}

function fulfill(order, orderId, attempt, items) {
  if (order.cancelled && !order.shipments.length) return [422, { refused: true, detail: 'cancelled' }]
  if (!order.accepted) {
    if (attempt <= order.refusedAttempt || items.every((item) => item.productId === refused)) {
      order.refusedAttempt = Math.max(attempt, order.refusedAttempt)
      return [422, { refused: true, detail: 'not in stock' }]
    }
    order.accepted = true
    order.open = items.map(({ productId, quantity }) => ({ productId, quantity }))
    ship(order, orderId).catch(console.error)
  }
  const { shipments, refusals } = order
  return [order.open.length ? 202 : 200, { shipments, refusals }]
}

function cancelOrder(order) {
  const tooLate = order.accepted && !order.cancelled && !order.open.length
  if (tooLate) return [200, { cancelled: false, detail: 'everything has shipped' }]
  order.cancelled = true
  order.open = []
  return [200, { cancelled: true }]
}

async function ship(order, orderId) {
  await pause(shipsAfter)
  const lines = order.open.filter((line) => line.productId === refused)
  if (lines.length) {
    order.open = order.open.filter((line) => line.productId !== refused)
    order.refusals.push({ refusalId: 'refusal-1', lines, reason: 'not in stock' })
    const { refusalId, ...body } = order.refusals[0]
    call(`/orders/${orderId}/refusals/${refusalId}`, body)
  }
  for (let number = 1; order.open.length; number++) {
    // The first parcel has the first line, the second one all others.
    const parcel = { shipmentId: `parcel-${number}`, lines: order.open.splice(0, number === 1 ? 1 : 50) }
    parcel.shippedAt = new Date().toISOString()
    order.shipments.push(parcel)
    const { shipmentId, ...body } = parcel
    call(`/orders/${orderId}/shipments/${shipmentId}`, body)
    if (order.open.length) await pause(shipsAfter)
  }
}

// Sends a call until its answer is final. Signs each try again: a signature is valid for five minutes.
async function call(route, content) {
  if (!apiUrl) return // a repeated order gets all facts
  const body = JSON.stringify(content)
  for (let seconds = 1; ; seconds = Math.min(2 * seconds, 60)) {
    const timestamp = String(Math.floor(Date.now() / 1000))
    const headers = {
      'Content-Type': 'application/json',
      'X-Api-Key': apiKey,
      'X-Orderflow-Timestamp': timestamp,
      'X-Orderflow-Signature': sign(timestamp, '.', `PUT ${route}`, '.', body)
    }
    const sent = fetch(apiUrl + route, { method: 'PUT', headers, body, signal: AbortSignal.timeout(10_000) })
    const status = await sent.then((response) => response.status, () => 0)
    console.log(`PUT ${route} ${status || 'no answer'}`)
    if ([200, 201, 400, 404, 409, 413, 422].includes(status)) return
    await pause(seconds * 1000)
  }
}

async function receive(request, response) {
  const chunks = []
  for await (const chunk of request) chunks.push(chunk)
  const [status, content] = answer(request.headers, Buffer.concat(chunks))
  response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(content))
}

createServer((request, response) => {
  receive(request, response).catch((error) => {
    console.error(error.message)
    response.destroy() // orderflow repeats the request
  })
}).listen(Number(PORT), '127.0.0.1', function () {
  console.log(`serving on http://127.0.0.1:${this.address().port}/`)
})
