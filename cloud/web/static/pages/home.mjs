// The first page of every role: what needs somebody, in a few tiles, each a link to where it is dealt with.
// @ts-check
import { html } from "../vendor/core.mjs";
import { alarms, gateways, latest, may, model, now, results, tags, tick } from "../hub.mjs";
import { To } from "../place.mjs";
import { Figure } from "../ui.mjs";
import { lasting, severity, t, whole } from "../words.mjs";

const LATE_S = 60;

function field() {
  tick.value;
  const rows = gateways.value ?? [];
  const silent = rows.filter((row) => !row.last_seen_us || now.value / 1e3 - row.last_seen_us / 1e6 > LATE_S);
  const values = [...latest.values()];
  const bad = values.filter(([, , quality]) => severity(quality) === "bad").length;
  const newest = Math.max(0, ...values.map(([at]) => at));
  return [
    { path: "/fleet", label: t("gateways silent for a minute"), value: whole(silent.length), note: t("of {n} gateway|of {n} gateways", { n: rows.length }), tone: silent.length ? "abnormal" : "" },
    { path: "/fleet", label: t("tags of bad quality"), value: whole(bad), note: t("of {n} tag|of {n} tags", { n: tags.value?.length ?? values.length }), tone: bad ? "abnormal" : "" },
    { path: "/fleet", label: t("newest sample"), value: newest ? lasting(now.value / 1e3 - newest / 1e6) : "–", note: t("ago"), tone: "" },
  ];
}

function assets() {
  const sounding = Object.values(alarms.value).filter((one) => one.state === "unacknowledged").length;
  const healths = Object.values(results.value).filter((one) => one.kind === "health").flatMap((one) => Object.values(one.output.assets));
  const unwell = healths.filter((one) => one.state !== "good").length;
  return [
    { path: "/alarms", label: t("alarms not acknowledged"), value: whole(sounding), note: "", tone: sounding ? "abnormal" : "" },
    { path: "/assets", label: t("assets not well"), value: whole(unwell), note: t("of {n} asset|of {n} assets", { n: model.value?.assets?.length ?? healths.length }), tone: unwell ? "abnormal" : "" },
  ];
}

function desk() {
  const risk = Object.values(results.value).find((one) => one.kind === "risk");
  if (!risk) return [];
  const { split, currency } = risk.output;
  return [{ path: "/risk", label: t("value at risk"), value: whole(split.joint), note: `${currency}, ${lasting(now.value / 1e3 - risk.as_of_us / 1e6)} ${t("ago")}`, tone: "" }];
}

export function Page() {
  const tiles = [...(may("read:field") ? field() : []), ...(may("read:assets") ? assets() : []), ...(may("read:risk") ? desk() : [])];
  return html`<h1>${t("What needs you")}</h1><div class="figures tiles">${tiles.map((tile) => html`<${To} key=${tile.label} path=${tile.path} class="tile"><${Figure} ...${tile} /><//>`)}</div>`;
}
