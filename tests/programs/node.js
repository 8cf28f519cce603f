// SPDX-License-Identifier: GPL-2.0-only
// node.js STYLE: a server in a process of its own, and clients; bytes compared.
'use strict';
const { fork } = require('child_process');
const { createHash } = require('crypto');
const http = require('http');
const net = require('net');

const style = process.argv[2];
const sizes = [1, 1000, 16384, 262144, 4 << 20];
const perSize = 1200; // ms
const blob = (size, salt) => Buffer.alloc(size, createHash('sha256').update(`${salt}`).digest());
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

function listen(server) {
	return new Promise((done) => server.listen(0, '127.0.0.1', () => done(server.address().port)));
}

function echoServer() {
	return net.createServer({ allowHalfOpen: true }, (s) => {
		s.on('error', () => {});
		if (style === 'reset')
			s.on('data', (d) => d.includes('reset!') ? s.resetAndDestroy() : s.write(d));
		else
			s.pipe(s); // ends its side when the other has
	});
}

function httpServer() {
	return http.createServer((req, res) => {
		if (req.method === 'GET') {
			res.end(blob(+req.url.slice(1), 3));
		} else {
			res.writeHead(200, { 'Content-Length': req.headers['content-length'] });
			req.pipe(res);
		}
	});
}

function tcpProxy(port) {
	return net.createServer({ allowHalfOpen: true }, (s) => {
		const up = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true });
		s.on('error', () => up.destroy());
		up.on('error', () => s.destroy());
		s.pipe(up);
		up.pipe(s);
	});
}

function httpProxy(port) {
	const agent = new http.Agent({ keepAlive: true });
	return http.createServer((req, res) => {
		const up = http.request({ port, host: '127.0.0.1', agent, path: req.url, method: req.method,
			headers: req.headers }, (r) => {
			res.writeHead(r.statusCode, r.headers);
			r.pipe(res);
		});
		up.on('error', () => res.destroy());
		req.pipe(up);
	});
}

async function serve() {
	const server = style.startsWith('http') ? httpServer() : echoServer();
	let port = await listen(server);
	if (style === 'proxy')
		port = await listen(tcpProxy(port));
	if (style === 'http-proxy')
		port = await listen(httpProxy(port));
	process.send(port);
}

// One connection; ask() sends and resolves to as many bytes.
function dial(port, options) {
	const s = net.connect({ port, host: '127.0.0.1', ...options });
	let want = 0, have = [], got = 0, wake, fail;
	s.setTimeout(20000, () => s.destroy(new Error('nothing for 20 seconds')));
	s.on('error', (e) => { s.fault = e.code || e.message; if (fail) fail(e); });
	s.on('data', (d) => {
		have.push(d);
		got += d.length;
		if (wake && got >= want) {
			const all = Buffer.concat(have);
			have = [], got = 0;
			wake(all);
			wake = null;
		}
	});
	s.ask = (data, size = data.length) => new Promise((done, bad) => {
		want = size;
		wake = done;
		fail = bad;
		s.write(data);
	});
	return s;
}

function compare(want, have, s) {
	if (want.equals(have))
		return 'right';
	let i = 0;
	while (i < have.length && have[i] === want[i])
		i++;
	process.stderr.write(`${style}: ${have.length} bytes, the first wrong one at ${i} of ${want.length}, ${s.fault}\n`);
	return 'wrong bytes at the end';
}

async function echoClient(port, salt) {
	const s = dial(port, { allowHalfOpen: true });
	for (const size of sizes) {
		const data = blob(size, salt);
		for (const end = Date.now() + perSize; Date.now() < end;)
			if (!data.equals(await s.ask(data)))
				return `wrong bytes of ${size}`;
	}
	if (style === 'halfopen') {
		const data = blob(10 << 20, salt), parts = [];
		s.removeAllListeners('data');
		s.on('data', (d) => parts.push(d));
		s.end(data);
		await new Promise((done) => s.once('end', done).once('close', done));
		return compare(data, Buffer.concat(parts), s);
	} else if (style === 'reset') {
		const closed = new Promise((done) => s.once('close', done));
		s.write('reset!');
		await closed;
		return `closed with ${s.fault}`;
	} else if (style === 'pause') {
		const data = blob(20 << 20, salt), parts = [];
		s.removeAllListeners('data');
		s.on('data', (d) => parts.push(d));
		s.pause();
		const ended = new Promise((done) => s.once('end', done).once('close', done));
		s.end(data);
		for (let i = 0; i < 30; i++) {
			await sleep(50);
			s.resume();
			await sleep(5);
			s.pause();
		}
		s.resume();
		await ended;
		return compare(data, Buffer.concat(parts), s);
	}
	s.destroy();
	return 'right';
}

function request(port, agent, method, path, body) {
	return new Promise((done, bad) => {
		const req = http.request({ port, host: '127.0.0.1', agent, method, path, timeout: 20000,
			headers: body ? { 'Content-Length': body.length } : {} }, (res) => {
			const parts = [];
			res.on('data', (d) => parts.push(d));
			res.on('end', () => done(Buffer.concat(parts)));
			res.on('error', bad);
		});
		req.on('timeout', () => req.destroy(new Error('nothing for 20 seconds')));
		req.on('error', bad);
		req.end(body);
	});
}

async function httpClient(port, salt) {
	const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
	for (const size of sizes)
		for (const end = Date.now() + perSize; Date.now() < end;) {
			if (!blob(size, 3).equals(await request(port, agent, 'GET', `/${size}`)))
				return `wrong bytes of ${size}`;
			if (!blob(size, salt).equals(await request(port, agent, 'POST', '/', blob(size, salt))))
				return `wrong bytes back of ${size}`;
		}
	agent.destroy();
	return 'right';
}

async function main() {
	const server = fork(__filename, [style, 'serve']);
	const port = await new Promise((done) => server.once('message', done));
	const client = style.startsWith('http') ? httpClient : echoClient;
	const said = await Promise.all([1, 2, 3].map((i) => client(port, i).catch((e) => String(e))));
	console.log(`${style} = ${[...new Set(said)].join(', ')}`);
	server.kill();
}

if (process.argv[3] === 'serve')
	serve();
else
	main();
