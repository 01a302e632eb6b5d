// What the page says to the server, and what it hears from it; goes on by itself when the server comes back.

const AGAIN = 1500; // milliseconds between attempts to reach a server that is gone
const UNSEEN = 3000; // milliseconds after which a tab that is not seen stops listening
const STILL_HERE = 20000; // milliseconds between the signs of life of such a tab

export class Refused extends Error {}

export class Server {
  /** `heard(event)` receives events; `lost(text)` a sentence while the server cannot be reached, null afterwards. */
  constructor(heard, lost) {
    Object.assign(this, { heard, lost, tab: sessionStorage.getItem("tab") });
    this.opened = new Promise((done) => { this.isOpen = done; });
    // A browser opens six connections to a server, for all tabs together, so tabs that are not seen do not listen.
    document.addEventListener("visibilitychange", () => this.seen(!document.hidden));
  }

  /** Open the tab of this page, or a new one; return whether it is new. */
  async open() {
    if (this.tab && (await fetch(this.address(""))).ok) {
      this.isOpen();
      this.listen();
      return false;
    }
    const opened = await this.answer(await fetch("/api/tabs", { method: "POST" }));
    this.tab = opened.tab;
    sessionStorage.setItem("tab", this.tab);
    this.isOpen();
    this.listen();
    return true;
  }

  address(path) { return `/api/tabs/${this.tab}${path}`; }

  listen() {
    this.source?.close();
    this.source = new EventSource(this.address("/events"));
    this.source.onmessage = (message) => this.heard(JSON.parse(message.data));
    this.source.onerror = () => {
      this.source.close();
      this.comeBack();
    };
  }

  seen(visible) {
    clearTimeout(this.leaving);
    clearInterval(this.staying);
    if (visible) { if (this.source?.readyState === EventSource.CLOSED && !this.waiting) this.listen(); return; }
    this.leaving = setTimeout(() => {
      this.source?.close();
      this.staying = setInterval(() => fetch(this.address("")).catch(() => null), STILL_HERE);
    }, UNSEEN);
  }

  async comeBack() {
    if (this.waiting) return;
    this.waiting = true;
    for (let tries = 0; ; tries++) {
      const status = await fetch(this.address("")).then((answer) => answer.status, () => 0);
      if (status === 200 || status === 404) break;
      if (tries > 0 || status === 401) {
        this.lost(status === 401 ? "The server has started anew. Open the address that it printed, in this browser; this page then goes on."
          : "The server does not answer; perhaps it has ended. This page goes on when it is back.");
      }
      await new Promise((resolve) => setTimeout(resolve, AGAIN));
    }
    this.waiting = false;
    const isNew = await this.open().catch(() => null);
    if (isNew === null) return this.comeBack();
    this.lost(null);
    if (isNew) this.heard({ type: "reopened" });
  }

  async answer(response) {
    const text = await response.text();
    let values = {};
    try { values = JSON.parse(text); } catch { values = { error: text.trim() || `status ${response.status}` }; }
    if (!response.ok) throw new Refused(values.error ?? `status ${response.status}`);
    return values;
  }

  async get(path) { return this.answer(await fetch(this.address(path))); }

  async post(path, values = {}) {
    return this.answer(await fetch(this.address(path), { method: "POST", body: JSON.stringify(values) }));
  }

  async put(path, file, name = "") {
    await this.opened; // a file may be dropped before
    const headers = { "X-File-Name": encodeURIComponent(name) };
    return this.answer(await fetch(this.address(path), { method: "PUT", body: file, headers }));
  }

  /** Return a picture at a full address. */
  async image(address) {
    const response = await fetch(address);
    if (!response.ok) return this.answer(response);
    return createImageBitmap(await response.blob());
  }

  /** Save what an address answers as a file; return the answer's headers. */
  async save(path) {
    const response = await fetch(this.address(path));
    if (!response.ok) return this.answer(response);
    const name = /filename="([^"]+)"/.exec(response.headers.get("Content-Disposition") ?? "")?.[1] ?? "file";
    const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(await response.blob()), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
    return response.headers;
  }
}
