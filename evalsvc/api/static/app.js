// Signing in and out, and the live page of a job. Texts enter the page as text only.
"use strict";

const byId = (id) => document.getElementById(id);

const signIn = byId("sign-in");
if (signIn) {
  signIn.addEventListener("submit", async (event) => {
    event.preventDefault();
    const answer = await fetch("/api/v1/session", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ token: byId("token").value }),
    });
    if (answer.ok) return location.reload();
    byId("refused").textContent = (await answer.json()).error.message;
  });
}

const signOut = byId("sign-out");
if (signOut) {
  signOut.addEventListener("click", async () => {
    await fetch("/api/v1/session", { method: "DELETE" });
    location.assign("/");
  });
}

const page = byId("job");
if (page && page.dataset.live === "yes") watch(page.dataset.id);

function watch(id) {
  const source = new EventSource(`/api/v1/jobs/${id}/events`);
  const on = (name, act) => source.addEventListener(name, (event) => act(JSON.parse(event.data)));
  on("progress", showProgress);
  on("gate", showGate);
  on("state", (data) => {
    showState(data);
    if (["failed", "cancelled"].includes(data.state)) source.close();
    if (data.state === "done") finish(source);
  });
  on("decision", () => finish(source));
}

function finish(source) {
  source.close();
  location.reload();
}

function showProgress(data) {
  if (!data.total) return;
  const bar = byId("bar");
  bar.max = data.total;
  bar.value = data.recorded;
  bar.hidden = false;
  const count = (number) => number.toLocaleString("en");
  const left = data.eta_s ? `, about ${duration(data.eta_s)} left` : "";
  byId("counts").textContent = `${count(data.recorded)} of ${count(data.total)} answers recorded${left}`;
}

function duration(seconds) {
  if (seconds < 90) return `${Math.ceil(seconds)} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

function showState(data) {
  const state = byId("state");
  state.textContent = data.state;
  state.className = `state ${data.state}`;
  byId("reason").textContent = data.reason || "";
}

function showGate(data) {
  const body = byId("gates");
  for (const row of body.querySelectorAll(".none-yet")) row.remove();
  let row = [...body.rows].find((each) => each.cells[0].textContent === data.name);
  if (!row) {
    row = body.insertRow();
    for (let k = 0; k < 3; k += 1) row.insertCell();
  }
  const aside = data.waived ? ", waived" : data.required === false ? ", not required" : "";
  const texts = [data.name, `${data.verdict}${aside}`, data.reason];
  texts.forEach((text, k) => { row.cells[k].textContent = text || ""; });
  row.cells[0].className = "gate";
  row.cells[1].className = `verdict-of ${data.verdict}`;
}
