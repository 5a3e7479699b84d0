"""The words of the HTML queue, in English and Chinese.

Hints, CITES notes and evidence stay in English, the language of the taxonomy; the sentences of a
row are as the scan wrote them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from recognizer.errors import UsageError
from recognizer.review import chinese
from recognizer.review.guide import explain_reason
from recognizer.status import Reason
from recognizer.taxonomy import Taxonomy

LANGUAGES = ("en", "zh")
"""The languages of the page: English and Chinese."""

# key: English, Chinese. {n} and the like are filled in.
TEXTS: Mapping[str, tuple[str, str]] = {
    "disclaimer": (
        "A lead is not a verdict: a photo does not identify a product.",
        "线索不是结论：仅凭照片不能鉴定物品。",
    ),
    "expert": (
        "Only an expert who has the object in hand can establish what it is made of.",
        "只有拿到实物的专家才能鉴定其材质。",
    ),
    "skip": ("Skip to the queue", "跳到队列"),
    "scanned": ("scanned", "张图片"),
    "listings": ("listings", "个商品"),
    "priority": ("Priority", "优先"),
    "review": ("Review", "待审"),
    "unscored": ("Failed", "未评分"),
    "clear": ("Clear", "无线索"),
    "degraded": ("! Degraded", "! 图片受损"),
    "audit": ("Audit", "抽查"),
    "page_full": (
        "No thumbnail: those of the images above fill the page.",
        "没有缩略图：以上图片的缩略图已占满本页。",
    ),
    "of_them": ("of them", "其中"),
    "note_priority": ("Strong leads: look at these first.", "强线索：请先审核。"),
    "note_review": ("Leads: somebody should look.", "线索：需要人工查看。"),
    "note_unscored": (
        "Not scored, and therefore not clear: somebody has to look, or scan again.",
        "未评分，因此不能视为无线索：需要人工查看或重新扫描。",
    ),
    "note_clear": (
        "Nothing is over a threshold. First the audit sample, drawn at random to find out what is "
        "missed; then the highest scores.",
        "未超过任何阈值。先列出为估计漏检率而随机抽查的图片，再列出评分最高者。",
    ),
    "cap": (
        "This page shows {shown} of {total} leads: {missing} are missing. Write several pages with "
        "--part 1/{parts} to --part {parts}/{parts}.",
        "本页只显示 {total} 条线索中的 {shown} 条，缺少 {missing} 条。"
        "请用 --part 1/{parts} 至 --part {parts}/{parts} 分成多页。",
    ),
    "part": ("Part {number} of {of}", "第 {number} 部分，共 {of} 部分"),
    "other_models": ("Other models.", "其他模型。"),
    "other_models_note": (
        "Some of these rows were not made by {model}: what this page says about evidence holds for "
        "{model} only.",
        "部分结果并非由 {model} 得出：本页的依据说明仅适用于 {model}。",
    ),
    "by_product": ("Leads by product", "线索（按物品）"),
    "by_reason": ("Failed by reason", "未评分（按原因）"),
    "made_by": ("Made by", "来源"),
    "none": ("None.", "无。"),
    "model": ("model", "模型"),
    "policy": ("policy", "策略"),
    "time": ("time", "时间"),
    "version": ("version {n}", "版本 {n}"),
    "to": ("to", "至"),
    "not_recognised": ("Not recognised", "尚不能识别"),
    "not_recognised_note": (
        "by {model}: {names}. An image of one of them may well be marked as clear.",
        "（{model}）：{names}。此类图片可能被标为无线索。",
    ),
    # toolbar
    "show": ("Show", "显示"),
    "all": ("All", "全部"),
    "product": ("Product", "物品"),
    "any": ("any", "不限"),
    "family": ("{name} (family)", "{name}（类）"),
    "search": ("Search", "搜索"),
    "search_hint": ("any column", "任意字段"),
    "sort": ("Sort", "排序"),
    "sort_rank": ("strongest first", "线索最强优先"),
    "sort_reports": ("most user reports", "用户举报最多"),
    "sort_time": ("newest listing", "最新发布"),
    "sort_seller": ("by seller", "按卖家"),
    "regions": ("regions", "方框"),
    "open_only": ("only undecided", "仅未处理"),
    "your_name": ("Your name", "您的姓名"),
    "export": ("Export", "导出"),
    "keys": ("Keys", "快捷键"),
    "key_next": ("next, previous", "下一个、上一个"),
    "key_search": ("search", "搜索"),
    "key_copies": ("with Shift: near-copies too", "加 Shift：近似照片一并处理"),
    # verdicts
    "confirm": ("Confirm", "确认"),
    "reject": ("Reject", "排除"),
    "be_unsure": ("Unsure", "不确定"),
    "escalate": ("Escalate", "上报"),
    "undo": ("Undo", "撤销"),
    "note": ("Note", "备注"),
    "confirmed": ("Confirmed", "已确认"),
    "rejected": ("Rejected", "已排除"),
    "unsure": ("Unsure", "不确定"),
    "escalated": ("Escalated", "已上报"),
    "note_hint": ("What you saw", "写下所见"),
    "label": ("What is it?", "是什么？"),
    "not_chosen": ("not chosen", "未选择"),
    "keep": ("Keep", "保存"),
    "cancel": ("Cancel", "取消"),
    "shown": ("{n} of {of} shown", "显示 {n} / {of}"),
    "progress": ("{n} of {of} decided", "已处理 {n} / {of}"),
    "need_name": (
        "Give your name first: it is stored with each verdict.",
        "请先填写姓名：姓名会与每个结论一起保存。",
    ),
    "not_kept": (
        "This browser keeps nothing for this page: export before you close it.",
        "浏览器无法为本页保存数据：关闭前请先导出。",
    ),
    "was_exported": (
        "That verdict is exported already. Give another one: the last one counts.",
        "该结论已导出。请重新作出结论：以最后一个为准。",
    ),
    "nothing_to_undo": ("There is nothing to undo.", "没有可撤销的结论。"),
    "nothing_to_export": ("There is nothing to export.", "没有可导出的结论。"),
    "unexported": ("{n} not exported yet", "{n} 个未导出"),
    "verdict_help": (
        "Verdicts stay in this browser until you export them; recognizer outcomes import reads the "
        "file.",
        "结论保存在本浏览器中，导出后用 recognizer outcomes import 读取。",
    ),
    # cards
    "price": ("Price", "价格"),
    "seller": ("Seller", "卖家"),
    "listed": ("Listed", "发布于"),
    "reports": ("{n} user reports", "用户举报 {n} 次"),
    "report": ("1 user report", "用户举报 1 次"),
    "open_listing": ("Open the listing", "打开商品页面"),
    "open_image": ("Open the image", "打开图片"),
    "images": ("{n} images", "{n} 张图片"),
    "more_images": ("and {n} more", "另有 {n} 张"),
    "no_image": ("No image was read.", "没有读取到图片。"),
    "pixels": ("{width} × {height} pixels", "{width} × {height} 像素"),
    "frames": ("{n} frames", "{n} 帧"),
    "frame": ("number {n} is shown", "显示第 {n} 帧"),
    "highest": ("Highest scores", "最高评分"),
    "over": ("(over its threshold)", "（超过阈值）"),
    "why": ("Why", "原因"),
    "keywords": ("Keywords", "关键词"),
    "copies": ("near-copies", "个近似商品"),
    "copy": ("1 near-copy", "1 个近似商品"),
    "copies_note": ("one decision can stand for all", "可一并处理"),
    "of_seller": ("of 1 seller", "（同一卖家）"),
    "of_sellers": ("of {n} sellers", "（共 {n} 个卖家）"),
    "more_copies": ("more:", "个未列出："),
    "lists_all": ("lists all of them", "可列出全部"),
    "known_items": ("Known items", "已知物品"),
    "near_known": ("Near a known item", "与已知物品相近"),
    "known_product": ("a product", "受管制物品"),
    "known_cleared": ("cleared", "已排除"),
    "apart": ("{n} of 256 bits apart", "相差 {n} / 256 位"),
    "from": ("from", "来自"),
    "evidence": ("evidence", "依据"),
    "details": ("Hints, listing and file", "提示、商品和文件"),
    "details_no_listing": ("Hints and file", "提示和文件"),
    "details_no_hints": ("Listing and file", "商品和文件"),
    "details_file": ("File", "文件"),
    "hint": ("Hint", "审核提示"),
    "cites": ("CITES", "CITES"),
    "confused": ("Confused with", "易混淆"),
    "path": ("path", "路径"),
    "not_read": ("not read", "未读取"),
    # sections
    "shown_here": ("Shown here: {n} of {of}", "此处显示 {n} / {of}"),
    "first_ones": ("the first ones of the scan", "扫描中最先的"),
    "highest_ones": ("those with the highest scores", "评分最高的"),
    "rows_hold": ("The rows of the scan hold all of them.", "扫描结果中包含全部。"),
    "all_copies": (
        "All of them are near-copies of images above.",
        "均与上方的图片近似。",
    ),
    "nothing": ("Nothing here matches these filters.", "没有符合条件的商品。"),
    "image": ("Image", "图片"),
    "name": ("Name", "名称"),
    "highest_product": ("Highest product score", "最高物品评分"),
    "highest_score": ("Highest score", "最高评分"),
    "guide": ("Guide", "指南"),
    "guide_note": (
        "General information, not legal advice: age, origin, permits and national law decide.",
        "一般信息，不是法律意见：应以年代、来源、许可和国家法律为准。",
    ),
}

SCRIPT_TEXTS = (
    *("shown", "progress", "need_name", "not_kept", "was_exported", "nothing_to_undo"),
    *("nothing_to_export", "unexported", "confirmed", "rejected", "unsure", "escalated"),
)
"""The texts that the page's script fills in."""


class PageTexts:
    """The words of one language; called with a key, it returns a text."""

    def __init__(self, language: str) -> None:
        if language not in LANGUAGES:
            raise UsageError(f"language {language!r}: {' or '.join(LANGUAGES)}")
        self.language = language
        self._place = LANGUAGES.index(language)

    def __call__(self, key: str, **values: object) -> str:
        """Return a text with its values filled in; numbers get separators."""
        shown = {k: f"{v:,}" if isinstance(v, int) else v for k, v in values.items()}
        return TEXTS[key][self._place].format(**shown)

    @property
    def for_script(self) -> str:
        """The texts that the page's script needs, as JSON."""
        return json.dumps({key: TEXTS[key][self._place] for key in SCRIPT_TEXTS})

    def label(
        self, name: str, taxonomy: Taxonomy, *, family: bool = False, mark: bool = False
    ) -> str:
        """Return the name of a label or family for people; ``mark`` says that it is a family."""
        names = chinese.FAMILIES if family else chinese.LABELS
        found = names.get(name) if self.language == "zh" else None
        shown = found or taxonomy.display_name(name, family=family)
        return self("family", name=shown) if family and mark else shown

    def reason(self, reason: Reason | None) -> str:
        """Return what the reason of a failure means."""
        if self.language == "zh" and reason in chinese.REASONS:
            return chinese.REASONS[reason]
        return explain_reason(reason)
