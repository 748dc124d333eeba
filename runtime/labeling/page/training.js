// The card "Training": how training in the background stands.
import { call } from "./api.js";
import { byId, counted, say } from "./dom.js";
import { listen, state } from "./model.js";

function duration(seconds) {
  return seconds < 90 ? `${Math.max(Math.round(seconds), 1)} s` : `${Math.round(seconds / 60)} min`;
}
const STAGES = { start: "starting", features: "reading videos", training: "training", "other videos": "reading the other videos" };
function status(l) {
  if (l.needs) return `Training in the background needs more libraries: pip install 'punctum[${l.needs}]'`;
  if (l.training) {
    const left = l.progress.left_s === null ? (l.progress.stage === "start" ? "" : ", time left not known yet") : `, about ${duration(l.progress.left_s)} left`;
    return `${l.round ? "Learning from new labels" : "First training"}: ${STAGES[l.progress.stage] || l.progress.stage}, ${l.progress.percent} %${left}`;
  }
  if (!l.round) {
    if (!l.after) return "Training begins when you press Train now.";
    const more = l.after - l.clicks;
    if (more > 0) return `${counted(more, "more click")} until training begins.`;
    return l.videos < l.videos_after ? `Training needs clicks in ${l.videos_after} videos.` : "Training begins soon.";
  }
  const changes = l.changed ? ` ${counted(l.changed, "change")} since.` : " Up to date.";
  return `Round ${l.round.number}: ${counted(l.round.clicks, "click")}, ${duration(l.round.seconds)}.${changes}`;
}
function paintStatus() {
  const l = state.learning;
  if (!l) return;
  const problems = [l.error, ...l.problems].filter(Boolean).join(" ");
  byId("learn").textContent = problems ? `${problems} ${l.training ? status(l) : ""}` : status(l);
  byId("learn").classList.toggle("problem", Boolean(problems) || Boolean(l.needs));
  byId("learn-bar").hidden = !l.training;
  if (l.training) byId("learn-bar").value = l.progress.percent;
  byId("b-outcome").disabled = !l.round;
  byId("b-train").disabled = l.training || Boolean(l.needs) || l.videos < l.videos_after || (Boolean(l.round) && !l.changed);
}
byId("b-train").onclick = async () => {
  const answer = await call("api/train", { method: "POST" }).catch(() => null);
  if (!answer) return say("The server does not answer", "bad");
  if (!answer.ok) return say((await answer.json().catch(() => ({}))).error || "The server refused to train", "bad");
  say("Training begins");
};
listen((topics) => { if (topics.has("learning")) paintStatus(); });
