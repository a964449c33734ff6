// What the test pages do. Each function is called by a test and returns a promise of what it saw.

// connect resolves to an open WebSocket, or rejects with how it ended instead.
function connect(path) {
	return new Promise((resolve, reject) => {
		const socket = new WebSocket(location.origin.replace(/^http/, "ws") + path);
		socket.binaryType = "arraybuffer";
		let failed = false;
		socket.onopen = () => resolve(socket);
		socket.onerror = () => { failed = true; };
		socket.onclose = (event) => reject(new Error(`error event: ${failed}, close code: ${event.code}`));
	});
}

// next resolves to the socket's next message.
function next(socket) {
	return new Promise((resolve, reject) => {
		socket.onmessage = (event) => resolve(event.data);
		socket.onclose = (event) => reject(new Error(`closed with ${event.code}`));
	});
}

// closed resolves to how the socket ends.
function closed(socket) {
	return new Promise((resolve) => {
		socket.onclose = (event) => resolve({code: event.code, reason: event.reason, clean: event.wasClean});
	});
}

// pattern is n bytes in which a shift or a loss shows.
function pattern(n) {
	return Uint8Array.from({length: n}, (_, i) => (i * 7) >> 3);
}

// text is n characters, some of which take three bytes.
function text(n) {
	return Array.from({length: n}, (_, i) => i % 50 ? String.fromCharCode(65 + i % 26) : "€").join("");
}

function same(a, b) {
	const left = new Uint8Array(a), right = new Uint8Array(b);
	return left.length === right.length && left.every((byte, i) => byte === right[i]);
}

// echo sends messages of many lengths, both kinds each, and says which did not come back as they were.
async function echo(path) {
	const socket = await connect(path);
	const wrong = [];
	let right = 0;
	for (const n of [0, 1, 125, 126, 4096, 65535, 65536, 1 << 20]) {
		let answer = next(socket);
		socket.send(text(n));
		await answer === text(n) ? right++ : wrong.push(`text of ${n}`);
		answer = next(socket);
		socket.send(pattern(n));
		same(await answer, pattern(n)) ? right++ : wrong.push(`binary of ${n}`);
	}
	const end = closed(socket);
	socket.close(4001, "the page is done");
	return {right, wrong, end: await end};
}

// burst sends 200 messages without waiting, and returns the answers in the order they come.
async function burst(path) {
	const socket = await connect(path), answers = [];
	await new Promise((resolve, reject) => {
		socket.onmessage = (event) => { answers.push(event.data); if (answers.length === 200) resolve(); };
		socket.onclose = (event) => reject(new Error(`closed with ${event.code}`));
		for (let i = 0; i < 200; i++) socket.send(`message ${i}`);
	});
	socket.close();
	return answers;
}

// end connects, and returns how the server ends the connection.
async function end(path) {
	return closed(await connect(path));
}

// refused returns what the page sees of a connection that is not let through.
async function refused(path) {
	try {
		await connect(path);
		return "connected";
	} catch (error) {
		return error.message;
	}
}

// events reads a stream until it has seen as many events, and tells the server of each: only then it sends the next.
function events(path, count) {
	return new Promise((resolve, reject) => {
		const source = new EventSource(path), seen = [];
		source.addEventListener("step", async (event) => {
			const number = seen.push(`${event.lastEventId}: ${event.data}`);
			await fetch(`${path}/seen/${event.lastEventId}`, {method: "POST"});
			if (number === count) {
				source.close();
				resolve({seen, protocol: performance.getEntriesByType("navigation")[0].nextHopProtocol});
			}
		});
		source.onerror = () => { if (source.readyState === EventSource.CLOSED) reject(new Error("closed for good")); };
	});
}

// refusedEvents returns the state in which a stream is left that is not let through.
function refusedEvents(path) {
	return new Promise((resolve) => {
		const source = new EventSource(path);
		source.onopen = () => resolve("open");
		source.onerror = () => resolve(source.readyState === EventSource.CLOSED ? "closed for good" : "will reconnect");
	});
}
