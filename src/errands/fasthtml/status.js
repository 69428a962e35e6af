// live=True: shows what the stream of a job tells, and goes when the job has ended
customElements.get("errands-live") || customElements.define("errands-live", class extends HTMLElement {
  connectedCallback() { this.tries = 0; this.open() }
  disconnectedCallback() { this.stream.close(); clearTimeout(this.timer) }
  open() {
    const stream = this.stream = new EventSource(this.getAttribute("src"))
    stream.onmessage = event => { this.tries = 0; this.show(event.data) }
    stream.addEventListener("end", event => { stream.close(); this.show(event.data); this.replaceWith(...this.childNodes) })
    stream.onerror = () => { // else the browser comes back by itself
      if (stream.readyState == 2 && this.tries < 8) this.timer = setTimeout(() => this.open(), 1000 * 2 ** this.tries++)
    }
  }
  show(html) {
    const before = this.querySelector("progress")?.value
    this.innerHTML = html
    const bar = this.querySelector("progress"), now = bar?.value
    if (now && before) { bar.value = before; requestAnimationFrame(() => bar.value = now) }
    window.htmx?.process(this)
  }
})
// htmx 2 goes on asking where it gets a 404: a link that is no longer good for whoever is here
document.addEventListener("htmx:responseError", event => {
  const job = event.target
  if (job.matches?.(".errands") && event.detail.xhr.status == 404) job.replaceWith(job.cloneNode(true))
})
