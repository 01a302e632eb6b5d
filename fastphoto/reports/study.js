"use strict";
{
  const QUESTIONS = ["photorealism", "faithfulness"];
  const element = (id) => document.getElementById(id);
  const data = JSON.parse(element("data").textContent);
  const results = new Map(data.results.map((result) => [result.id, result]));
  const place = `fastphoto-study-${data.study}`;

  const random = (count) => crypto.getRandomValues(new Uint32Array(count));
  const shuffled = (items) => {
    for (let last = items.length - 1; last > 0; last--) {
      const other = Math.floor((random(1)[0] / 2 ** 32) * (last + 1));
      [items[last], items[other]] = [items[other], items[last]];
    }
    return items;
  };
  const beginning = () => ({
    participant: [...random(2)].map((word) => word.toString(16).padStart(8, "0")).join(""),
    order: shuffled([...results.keys()]),
    answers: {},
    at: 0,
  });
  const remembered = () => {
    try {
      const state = JSON.parse(localStorage.getItem(place));
      const whole = state.order.length === results.size && state.order.every((id) => results.has(id));
      return whole && state.participant && state.answers && Number.isInteger(state.at) ? state : null;
    } catch {
      return null;
    }
  };
  const remember = () => {
    try {
      localStorage.setItem(place, JSON.stringify(state));
      return true;
    } catch {
      return false;
    }
  };

  let state = remembered() || beginning();
  let current = QUESTIONS[0]; // the question that the keys 1 to 4 answer

  const answers = (id) => state.answers[id] || {};
  const complete = (id) => QUESTIONS.every((question) => answers(id)[question]);
  const rated = () => state.order.filter(complete).length;

  const show = (section) => {
    for (const name of ["welcome", "rating", "end"]) element(name).hidden = name !== section;
    scrollTo(0, 0);
  };

  const mark = (question) => {
    current = question;
    for (const name of QUESTIONS) element(name).classList.toggle("current", name === question);
  };

  const offer = () => {
    element("next").textContent = complete(state.order[state.at]) ? "Next" : "Skip";
  };

  const showWelcome = () => {
    const count = rated();
    element("start").textContent = count ? `Go on (${count} of ${results.size} rated)` : "Start";
    element("memory").hidden = remember();
    show("welcome");
  };

  const showResult = () => {
    if (state.at >= state.order.length) return showEnd();
    const id = state.order[state.at];
    for (const role of ["result", "style", "content"]) element(role).src = data.pictures[results.get(id)[role]];
    element("form").reset();
    for (const [question, value] of Object.entries(answers(id)))
      element("form").querySelector(`[name="${question}"][value="${value}"]`).checked = true;
    element("place").textContent = `${state.at + 1} of ${results.size}`;
    element("bar").value = state.at;
    element("back").disabled = state.at === 0;
    mark(QUESTIONS.find((question) => !answers(id)[question]) || QUESTIONS[0]);
    offer();
    show("rating");
  };

  const showEnd = () => {
    const open = results.size - rated();
    element("summary").textContent = open
      ? `You rated ${rated()} of ${results.size} results. That is useful as it is; you may also go on with the others.`
      : `You rated all ${results.size} results.`;
    element("resume").textContent = open ? "Go on rating" : "Look at the ratings again";
    element("text").value = JSON.stringify(
      {
        study: data.study,
        participant: state.participant,
        answers: state.order.filter((id) => state.answers[id]).map((id) => ({ image: id, ...state.answers[id] })),
      },
      null,
      1,
    );
    show("end");
  };

  const go = (at) => {
    state.at = at;
    remember();
    showResult();
    element("rating").focus({ preventScroll: true }); // Enter is then not the button pressed last
  };

  const answer = (question, value) => {
    const id = state.order[state.at];
    state.answers[id] = { ...answers(id), [question]: Number(value) };
    remember();
    mark(QUESTIONS.find((name) => !answers(id)[name]) || QUESTIONS.at(-1));
    offer();
  };

  element("start").addEventListener("click", () => go(state.at));
  element("back").addEventListener("click", () => go(state.at - 1));
  element("finish").addEventListener("click", showEnd);
  element("resume").addEventListener("click", () => {
    const open = state.order.findIndex((id) => !complete(id));
    go(open < 0 ? 0 : open);
  });
  element("form").addEventListener("submit", (event) => {
    event.preventDefault();
    go(state.at + 1);
  });
  element("form").addEventListener("change", (event) => answer(event.target.name, event.target.value));
  for (const question of QUESTIONS) element(question).addEventListener("focusin", () => mark(question));

  document.addEventListener("keydown", (event) => {
    const busy = element("rating").hidden || document.querySelector("dialog[open]") || event.repeat;
    if (busy || event.ctrlKey || event.metaKey || event.altKey) return;
    if (/^[1-4]$/.test(event.key)) {
      element("form").querySelector(`[name="${current}"][value="${event.key}"]`).checked = true;
      answer(current, event.key);
    } else if (event.key === "Enter" && !event.target.closest("button")) {
      event.preventDefault(); // a key pressed once too often must not skip a result; the button does
      if (complete(state.order[state.at])) element("form").requestSubmit();
    }
  });

  element("save").addEventListener("click", () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([element("text").value], { type: "application/json" }));
    link.download = `answers-${state.participant}.json`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  });
  element("copy").addEventListener("click", async () => {
    element("text").select();
    try {
      await navigator.clipboard.writeText(element("text").value);
    } catch {
      document.execCommand("copy"); // pages from a disk have no clipboard in some browsers
    }
    element("copy").textContent = "Copied";
  });
  element("another").addEventListener("click", () => {
    if (!confirm("Have the answers been saved? They are deleted from this browser now.")) return;
    state = beginning();
    element("copy").textContent = "Copy text";
    showWelcome();
  });
  addEventListener("beforeunload", (event) => {
    if (rated() && !remember()) event.preventDefault();
  });

  showWelcome();
}
